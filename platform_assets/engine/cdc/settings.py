"""``cdc:`` of a deployment file: where the clients' tables are, and how hard they may be asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from platform_assets.engine.spec import Spec

DatasetPattern = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*(\{partner\})?[A-Za-z0-9_]*$", min_length=1)]


class CdcSettings(Spec):
    """``data_project`` holds the tables that messages name. ``datasets``: which of its datasets are a partner's, the
    first one for names without dataset; one without ``{partner}`` is open to every partner.

    ``unknown_partner``: what becomes of messages whose partner is no tenant. ``count`` takes them like those that
    name no partner: runs are counted, no table is read. ``queries_at_once`` are sent side by side, each reading up to
    ``tables_per_query`` tables and ``maximum_bytes_billed`` bytes.
    """

    data_project: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,61}[a-z0-9]$")] = "test-project"
    datasets: Annotated[tuple[DatasetPattern, ...], Field(min_length=1)] = ("tmp_{partner}", "{partner}")
    unknown_partner: Literal["dead_letter", "count"] = "dead_letter"
    queries_at_once: Annotated[int, Field(ge=1, le=100)] = 8
    tables_per_query: Annotated[int, Field(ge=1, le=900)] = 100
    maximum_bytes_billed: Annotated[int, Field(ge=10_485_760)] = 1_099_511_627_776
