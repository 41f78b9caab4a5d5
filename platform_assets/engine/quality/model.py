"""What data quality speaks of: severities, problems of a suite, plans, outcomes.

A *measure* is one number (or list) that the audit query returns; expectations are judged from those alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Slice, TableSchema
from platform_assets.engine.sql.model import BoundSql

if TYPE_CHECKING:
    from platform_assets.engine.quality.expectation import Expectation
    from platform_assets.engine.quality.scope import Source


MASK = "***"  # stands for personal data wherever people look


class Severity(StrEnum):
    """``critical`` keeps the old slice and blocks downstream, ``warning`` warns, ``info`` only records."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class SuiteProblem:
    """One thing wrong with the expectation at ``index``: which argument, why, and the nearest valid name."""

    index: int
    field: str
    reason: str
    nearest: str | None = None


class CustomQueryError(ValueError):
    """A suite's own query cannot be used; every reason why."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True)
class Facts:
    """What a judgement needs beside its measures. ``history`` holds earlier observed values per check id, oldest
    first; ``schema`` is the audited table's."""

    now: datetime | None = None
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    schema: TableSchema = field(default_factory=lambda: TableSchema(()))
    check: str = ""

    def of(self, check: str) -> Facts:
        return replace(self, check=check)

    @property
    def earlier(self) -> tuple[float, ...]:
        """The earlier values of the check being judged."""
        return tuple(self.history.get(self.check, ()))


@dataclass(frozen=True)
class Judgement:
    """What an expectation concludes from its measures. Counts are rows, ``None`` where senseless.
    ``error``: why nothing could be concluded."""

    success: bool
    observed_value: Any = None
    element_count: int | None = None
    missing_count: int | None = None
    unexpected_count: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class CheckOutcome:
    """One expectation's result for one slice.

    ``unexpected_percent`` is 0-100 of the non-missing rows, ``None`` where there are none.
    ``sql`` can be run as it stands: the failing rows of a row-wise expectation, otherwise its aggregates. It is
    written when somebody asks for it. ``error``: the check itself failed, so nothing is known of the rows.
    """

    expectation_id: str
    type: str
    column: str | None
    severity: Severity
    success: bool
    element_count: int | None = None
    missing_count: int | None = None
    unexpected_count: int | None = None
    unexpected_percent: float | None = None
    observed_value: Any = None
    details: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    quarantine: bool = False
    write_sql: Callable[[], str] = field(default=str, repr=False, compare=False)

    @property
    def sql(self) -> str:
        return self.write_sql()


@dataclass(frozen=True)
class PlannedCheck:
    """An expectation and where its measures stand in the audit row: local name → result column."""

    expectation: Expectation
    measures: Mapping[str, str]


@dataclass(frozen=True)
class AuditPlan:
    """One query that answers every check of a suite for one slice of one physical table."""

    table: TableName
    schema: TableSchema
    slice: Slice | None
    checks: tuple[PlannedCheck, ...]
    query: BoundSql
    others: Mapping[str, Source] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What the outcomes of a slice allow: ``critical`` failures block it, ``warning`` failures are told, the rows of
    ``quarantine`` failures are put aside and the rest is published."""

    critical: tuple[str, ...] = ()
    warning: tuple[str, ...] = ()
    info: tuple[str, ...] = ()
    quarantine: tuple[str, ...] = ()

    @property
    def blocked(self) -> bool:
        return bool(self.critical)
