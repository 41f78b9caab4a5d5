"""One slice of a source that gives columns: a query elsewhere, files of a manifest, a seed file.

Owns the order open → convert → count; the way out is handed in. Whoever consumes the batches must publish them only
after the last one, as with ``pull``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.engine.errors import NotFoundError
from platform_assets.engine.ingestion.pull import PullStats, StandardValues
from platform_assets.engine.ingestion.spec import ObjectStoreSource, SeedSource, SqlSource
from platform_assets.engine.ingestion.variables import render
from platform_assets.engine.schema.model import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.engine.ingestion.manifest import FileStore
    from platform_assets.engine.ingestion.query import QuerySource
    from platform_assets.engine.sql.checked import Transform


@dataclass(frozen=True)
class Openers:
    """How this slice's credential opens what a source needs. ``store`` takes a bucket's name, ``seed`` the path of
    a file below the pipeline's folder and gives its text, or None where there is no such file."""

    queries: Callable[[], QuerySource]
    store: Callable[[str], FileStore]
    seed: Callable[[str], str | None]


def pull_columns(
    source: SqlSource | ObjectStoreSource | SeedSource,
    query: Transform | None,
    openers: Openers,
    variables: Mapping[str, Any],
    schema: TableSchema,
    standard: StandardValues,
    stats: PullStats | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield batches in the columns of ``schema``; ``query`` is a ``sql`` source's. ``stats`` is filled while the
    pull runs and complete after the last batch. Raises the source's errors and DataError."""
    from platform_assets.engine.ingestion.conform import Conformer

    stats = PullStats() if stats is None else stats
    conformer = Conformer(
        schema,
        standard.columns(),
        getattr(source, "columns", {}),
        frozenset(getattr(source, "ignore", ())),
        roundings=stats.roundings,
    )
    for batch in _open(source, query, openers, variables):
        converted = conformer.batch(batch, f"{source.type} source, row {stats.records}")
        stats.requests += 1
        stats.records += batch.num_rows
        stats.bytes += batch.nbytes
        stats.unknown_fields.update(dict.fromkeys(conformer.unknown(batch.schema.names), batch.num_rows))
        yield converted
    stats.complete = True


def _open(
    source: SqlSource | ObjectStoreSource | SeedSource,
    query: Transform | None,
    openers: Openers,
    variables: Mapping[str, Any],
) -> Iterable[pa.RecordBatch]:
    if isinstance(source, SqlSource):
        from platform_assets.engine.ingestion.sql_source import bind_source

        assert query is not None, "configuration parses a source's query"
        bound = bind_source(source, query, variables)
        return openers.queries().query(bound, maximum_bytes_billed=source.maximum_bytes_billed)
    if isinstance(source, ObjectStoreSource):
        from platform_assets.engine.ingestion.manifest import read_files

        return read_files(source, openers.store(render(source.bucket, variables)), variables)
    return _seed(source, openers, variables)


def _seed(source: SeedSource, openers: Openers, variables: Mapping[str, Any]) -> Iterable[pa.RecordBatch]:
    from platform_assets.engine.ingestion.manifest import csv_batches

    name = render(source.file, variables)
    text = openers.seed(name)
    if text is None and not source.optional:
        raise NotFoundError(f"there is no seed file {name}")
    return csv_batches(text, name) if text else ()
