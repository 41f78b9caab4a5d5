"""What an ingest step asks its source: paths, templates and the columns it maps.

Refuses request paths that could leave the provider's base URL, template variables that nobody fills, and paths into
an answer that mean no one place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from platform_assets.config.document import Document, Location
from platform_assets.config.draft import Draft
from platform_assets.config.reading import nearest, one_of
from platform_assets.config.safety import texts
from platform_assets.config.templates import template_problems
from platform_assets.engine.errors import Problem
from platform_assets.engine.ingestion.decoders import DECODERS
from platform_assets.engine.ingestion.paths import path_problems
from platform_assets.engine.ingestion.spec import IngestStep, RestSource
from platform_assets.engine.schema.model import TableSchema

_NO_TEMPLATE = frozenset({"records_path"})


def source_problems(draft: Draft, step: IngestStep, at: Location) -> Iterator[Problem]:
    source = step.source
    yield from _templates(draft, (*at, "source"))
    if isinstance(source, RestSource):
        yield from _rest_source(draft, source, at)


def _rest_source(draft: Draft, source: RestSource, at: Location) -> Iterator[Problem]:
    if source.decoder is not None and source.decoder not in DECODERS:
        reason = f"there is no decoder {source.decoder!r}; there are {one_of(DECODERS)}"
        yield draft.problem((*at, "source", "decoder"), reason, nearest(source.decoder, DECODERS))
    if not re.match(r"/(?!/)", source.path) or ".." in source.path.split("/"):
        reason = f"{source.path!r} must start with one / and stay below the provider's base_url"
        yield draft.problem((*at, "source", "path"), reason)
    for reason in path_problems(
        source.records_path, dict(source.columns), list(getattr(source, "ignore", []))
    ):
        name, _, text = reason.partition(": ")
        place = (name,) if name == "records_path" else ("columns", name)
        yield draft.problem((*at, "source", *place), text)


def _templates(draft: Draft, at: Location) -> Iterator[Problem]:
    for place, text in texts(_value(draft.document, at), at):
        if "{" in text and not _NO_TEMPLATE.intersection(map(str, place)):
            for found in template_problems(text):
                yield draft.problem(place, found.reason, found.nearest)


def _value(document: Document, at: Location) -> Any:
    value = document.value
    for part in at:
        value = value[part]
    return value


def mapped_columns(draft: Draft, step: IngestStep, at: Location, schema: TableSchema) -> Iterator[Problem]:
    for name in getattr(step.source, "columns", {}):
        if schema.get(name) is None:
            reason = f"is not a column of {step.destination.schema_file}"
            yield draft.problem((*at, "source", "columns", name), reason, nearest(name, schema.names))
