"""What became of a slice: the values that the runner returns, and that history and materializations read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from platform_assets.assets.keys import SliceKey
from platform_assets.engine.costs.restatement import Restatement
from platform_assets.engine.ingestion.pull import PullStats
from platform_assets.engine.names import TableName
from platform_assets.engine.quality.model import CheckOutcome
from platform_assets.engine.quality.plot import Point


class Status(StrEnum):
    """How a slice ended. Only PUBLISHED changed the table; SKIPPED means that the tenant has no such table."""

    PUBLISHED = "published"
    SKIPPED = "skipped"
    BLOCKED = "blocked"
    FAILED = "failed"


@dataclass(frozen=True)
class MeasureSum:
    """The sum of a table's measure over staged rows of one currency and one value of its dimension."""

    currency: str | None
    dimension: str | None
    amount: Decimal | None


@dataclass(frozen=True)
class Audited:
    """What the audit of staged rows saw. ``failing_rows``: expectation id → a few offending rows, PII masked;
    ``history``: expectation id → its earlier results and this one; ``restatement``: against the slice whose place they
    take, where the table has a measure and slices are replaced."""

    checks: tuple[CheckOutcome, ...] = ()
    failing_rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    history: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    measures: tuple[MeasureSum, ...] = ()
    preview: tuple[Mapping[str, Any], ...] = ()
    restatement: Restatement | None = None


@dataclass(frozen=True)
class PartOutcome:
    """One writer's share of a slice: one pipeline's step, with one credential where it ingests."""

    pipeline_id: str
    step_id: str
    step_type: str
    credential: str | None
    status: Status
    started: datetime
    ended: datetime
    rows_inserted: int = 0
    rows_deleted: int = 0
    schema_changes: tuple[str, ...] = ()
    pull: PullStats | None = None
    audited: Audited = Audited()
    error: str = ""
    error_type: str = ""
    passing: bool = False  # it failed for a reason that may be over when it is tried again


@dataclass(frozen=True)
class SliceOutcome:
    """What became of one table's tenant-day. ``days_covered`` > 1 where days share a slice (a month)."""

    table: TableName
    key: SliceKey
    parts: tuple[PartOutcome, ...]
    days_covered: int = 1

    @property
    def status(self) -> Status:
        statuses = {part.status for part in self.parts}
        worst_first = (Status.FAILED, Status.BLOCKED, Status.PUBLISHED)
        return next((status for status in worst_first if status in statuses), Status.SKIPPED)

    @property
    def reason(self) -> str:
        """Why it is not published, writer by writer."""
        return "; ".join(f"{p.pipeline_id}.{p.step_id}: {p.error}" for p in self.parts if p.error)

    def __str__(self) -> str:
        rows = sum(part.rows_inserted for part in self.parts)
        told = f"{rows} rows" if self.status is Status.PUBLISHED else self.reason
        return f"{self.table} {self.key}: {self.status}" + (f" ({told})" if told else "")
