"""Declared metrics: each file by itself, then all against each other, since data sets and names are shared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from platform_assets.config.document import Document
from platform_assets.engine.errors import Problem
from platform_assets.engine.metrics.request import DatasetSource
from platform_assets.engine.metrics.spec import MetricSpec, check, dataset_of_series, dataset_source

Metrics = Mapping[str, tuple[Document, MetricSpec]]


def metric_problems(document: Document, spec: MetricSpec) -> list[Problem]:
    """What is wrong with one metric that its model accepts: the expression, and series without a data set."""
    return [document.problem(found.location, found.reason, found.nearest) for found in check(spec)]


def shared_problems(metrics: Metrics) -> Iterator[Problem]:
    """What cannot stand side by side: names that Dagster cannot tell apart, a data set in two places, and metrics
    that write over each other. ``metrics``: code → (document, checked spec)."""
    names: dict[str, str] = {}
    paths: dict[str, str] = {}
    places: dict[str, tuple[str, DatasetSource]] = {}
    for code, (document, spec) in sorted(metrics.items()):
        name = re.sub(r"[^A-Za-z0-9]", "_", code)
        if (other := names.setdefault(name, code)) != code:
            yield document.problem(("metric_code",), f"differs from {other!r} in punctuation only")
        path = (spec.base_path or f"metrics/{code}").strip("/")
        if (other := paths.setdefault(path, code)) != code:
            yield document.problem(("base_path",), f"{path!r} is where metric {other!r} writes")
        yield from _moved(document, spec, places)


def _moved(
    document: Document, spec: MetricSpec, places: dict[str, tuple[str, DatasetSource]]
) -> Iterator[Problem]:
    """A data set is one asset, so it is at one place."""
    for dataset in sorted(set(dataset_of_series(spec).values())):
        place = dataset_source(spec, dataset)
        other, known = places.setdefault(dataset, (spec.metric_code, place))
        if known != place:
            reason = f"is at {place.manifest!r} here, but at {known.manifest!r} for metric {other!r}"
            yield document.problem(("datasets", dataset), reason)
