"""A declared metric, ``configs/metrics/<metric_code>.yml``: an expression, where its series are, when to refresh it.

The expression is the same JSON that requests carry. ``check`` judges what a model cannot: the expression itself, and
that every series has a data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from platform_assets.engine.expressions.faults import ExpressionError, Location, nearest
from platform_assets.engine.expressions.grammar import parse
from platform_assets.engine.expressions.lineage import InputColumn, column_lineage
from platform_assets.engine.expressions.nodes import Expression, Kind, series_codes
from platform_assets.engine.metrics.request import DatasetSource, MetricRequest, SeriesInput
from platform_assets.engine.spec import Spec

MetricCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
DatasetId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,199}$")]
ObjectPath = Annotated[str, Field(min_length=1, max_length=900)]


class Refresh(StrEnum):
    """``on_change``: when a data set it reads has a new version, and on request; ``on_request``: only then."""

    ON_CHANGE = "on_change"
    ON_REQUEST = "on_request"


class DatasetLocation(Spec):
    """Where a data set is, when not at ``datasets/<id>/current/manifest.json`` and ``datasets/<id>/projections``."""

    manifest: ObjectPath
    projections: ObjectPath


class MetricSpec(Spec):
    """``dataset`` is where series are that ``series_datasets`` does not name."""

    metric_code: MetricCode
    description: str = ""
    unit: str = ""
    frequency: str = "daily"
    owner: str = ""
    tags: tuple[str, ...] = ()
    expression_type: Kind
    expression: dict[str, Any]
    dataset: DatasetId | None = None
    series_datasets: dict[str, DatasetId] = {}
    datasets: dict[DatasetId, DatasetLocation] = {}
    base_path: ObjectPath | None = None
    refresh: Refresh = Refresh.ON_CHANGE


@dataclass(frozen=True)
class SpecProblem:
    """One thing wrong in a metric's file; ``location`` is the way to the field from the file's root."""

    location: Location
    reason: str
    nearest: str | None = None


def check(spec: MetricSpec) -> tuple[SpecProblem, ...]:
    """Everything wrong with a metric that its model accepts, in reading order."""
    try:
        expression = parse(spec.expression, spec.expression_type)
    except ExpressionError as error:
        faults = (SpecProblem(("expression", *f.location), f.reason, f.nearest) for f in error.faults)
        return tuple(faults)
    return tuple(_dataset_problems(spec, expression))


def _dataset_problems(spec: MetricSpec, expression: Expression) -> Iterator[SpecProblem]:
    codes = series_codes(expression)
    for code in sorted(spec.series_datasets.keys() - set(codes)):
        hint = nearest(code, codes)
        yield SpecProblem(("series_datasets", code), f"{code!r} is no series of the expression", hint)
    used = set(spec.series_datasets.values()) | ({spec.dataset} if spec.dataset else set())
    for code in codes if spec.dataset is None else ():
        if code not in spec.series_datasets:
            yield SpecProblem(
                ("dataset",), f"no data set for series {code!r}; give dataset or series_datasets"
            )
    for name in sorted(spec.datasets.keys() - used):
        hint = nearest(name, sorted(used))
        yield SpecProblem(("datasets", name), f"data set {name!r} is used by no series", hint)


def expression_of(spec: MetricSpec) -> Expression:
    """The parsed expression. Raises ExpressionError where ``check`` would tell faults."""
    return parse(spec.expression, spec.expression_type)


def dataset_of_series(spec: MetricSpec) -> dict[str, str]:
    """Series code → data set id, for every series of a checked metric, sorted by code."""
    codes = series_codes(expression_of(spec))
    return {code: spec.series_datasets.get(code) or spec.dataset or "" for code in codes}


def dataset_source(spec: MetricSpec, dataset: str) -> DatasetSource:
    """Where a data set of the metric is."""
    if location := spec.datasets.get(dataset):
        return DatasetSource(location.manifest, location.projections)
    return DatasetSource(f"datasets/{dataset}/current/manifest.json", f"datasets/{dataset}/projections")


def base_path_of(spec: MetricSpec) -> str:
    """Below what the metric's versions are written."""
    return spec.base_path or f"metrics/{spec.metric_code}"


def lineage_of(spec: MetricSpec) -> dict[str, tuple[InputColumn, ...]]:
    """Column lineage of a checked metric: output column → the series columns it is made of."""
    return column_lineage(dataset_of_series(spec))


def to_request(
    spec: MetricSpec, run_id: str, requested_at: datetime, *, tenant: str | None = None
) -> MetricRequest:
    """The request that refreshes a declared metric."""
    datasets = dataset_of_series(spec)
    return MetricRequest(
        run_id=run_id,
        metric_code=spec.metric_code,
        expression=expression_of(spec),
        inputs=tuple(SeriesInput(dataset, code) for code, dataset in datasets.items()),
        datasets={name: dataset_source(spec, name) for name in sorted(set(datasets.values()))},
        base_path=base_path_of(spec),
        requested_at=requested_at,
        tenant=tenant,
    )
