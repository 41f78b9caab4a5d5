"""One step's answer for one slice, page by page, as Arrow batches. Pure given a source that sends requests.

Owns the order request → decode → next request → rows. A page's rows are given out only when the page made sense
as a whole; whoever consumes the batches must publish them only after the last one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from platform_assets.engine.ingestion.http import HttpRequest, HttpResponse, HttpSource
from platform_assets.engine.ingestion.pagination import Page, Paginator
from platform_assets.engine.ingestion.plan import first_request
from platform_assets.engine.ingestion.rounding import Roundings
from platform_assets.engine.ingestion.spec import ProviderSpec, RestSource
from platform_assets.engine.schema.model import Scalar, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.engine.ingestion.records import Document


@dataclass(frozen=True)
class StandardValues:
    """What the standard columns of a slice hold. ``ingested_at`` is the wall clock, with zone."""

    run_date: date
    ingested_at: datetime
    pipeline_logging_id: str
    tenant: str
    pipeline: str
    credential: str

    def columns(self) -> dict[str, Scalar]:
        return {
            "ingestion_date": self.run_date,
            "ingestion_timestamp": self.ingested_at,
            "pipeline_logging_id": self.pipeline_logging_id,
            "x_tenant": self.tenant,
            "x_pipeline": self.pipeline,
            "x_credential": self.credential,
            "x_run_date": self.run_date,
        }


@dataclass
class PullStats:
    """Counts so far. ``unknown_fields``: records in which a field stood that no column takes.
    ``roundings``: money that had more digits than its column.
    ``empty_confirmed``: the pull ended, and the source itself said that there is nothing."""

    requests: int = 0
    records: int = 0
    bytes: int = 0
    unknown_fields: Counter[str] = field(default_factory=Counter)
    roundings: Roundings = field(default_factory=Roundings)
    complete: bool = False

    @property
    def empty_confirmed(self) -> bool:
        return self.complete and self.records == 0


def pull(
    source: RestSource,
    provider: ProviderSpec,
    http: HttpSource,
    variables: Mapping[str, Any],
    schema: TableSchema,
    standard: StandardValues,
    stats: PullStats | None = None,
    on_page: Callable[[PullStats], None] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield one batch per page, also for a page without rows, in the columns of ``schema``.

    ``stats`` is filled while the pull runs and complete after the last batch. Raises the source's errors and
    DataError; rows given out before an error are not the whole slice.
    """
    from platform_assets.engine.ingestion.records import Decoder

    stats = PullStats() if stats is None else stats
    decoder = Decoder(source, schema, standard.columns(), stats.roundings)
    paginator = Paginator(source.pagination, source.max_pages)
    request: HttpRequest | None = paginator.first(first_request(source, provider, variables))
    while request is not None:
        response = http.send(request)
        where = f"page {stats.requests + 1} of {response.url.partition('?')[0]}"
        document = decoder.parse(response.body, where)
        request = paginator.after(_page(stats.requests + 1, request, response, document))
        batch, unknown = decoder.batch(document, where)
        _count(stats, response, batch.num_rows, unknown)
        stats.complete = request is None
        if on_page:
            on_page(stats)
        yield batch


def _page(number: int, request: HttpRequest, response: HttpResponse, document: Document) -> Page:
    return Page(
        number=number,
        request=request,
        url=response.url,
        headers=response.headers,
        body=response.body,
        document=document.root,
        items=document.items,
        records=len(document.records),
    )


def _count(stats: PullStats, response: HttpResponse, records: int, unknown: Counter[str]) -> None:
    stats.requests += 1
    stats.records += records
    stats.bytes += len(response.body)
    stats.unknown_fields.update(unknown)
