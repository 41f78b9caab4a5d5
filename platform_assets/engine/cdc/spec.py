"""A monitor, ``configs/cdc/<monitor>.yml``: which changes it takes, what it asks the warehouse, what it tells.

The model says what each part is; ``monitor.check`` judges how they fit together.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from platform_assets.engine.cdc.record import ChangeType
from platform_assets.engine.ingestion.spec import Identifier
from platform_assets.engine.spec import Spec

Path = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*){0,9}$")]
MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*(/[A-Za-z0-9_]+){0,9}$", max_length=150)]
LabelKey = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]
SqlFile = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+\.sql$")]
Value = str | int | float | bool
# What a gauge is where it cannot be computed: this number, no point at all, or a failure of the handler.
Otherwise = float | Literal["omit", "fail"]


class Predicate(Spec):
    """One condition on the value at ``path`` of the record (``payload.executor_type``). A value that is missing
    or of another type fails every condition but ``exists: false``, ``not_equals`` and ``none_of``."""

    path: Path
    equals: Value | None = None
    not_equals: Value | None = None
    one_of: tuple[Value, ...] | None = None
    none_of: tuple[Value, ...] | None = None
    matches: str | None = None
    exists: bool | None = None
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> Predicate:
        if len(self.conditions) != 1:
            names = ", ".join(name for name in type(self).model_fields if name != "path")
            raise ValueError(f"needs exactly one of {names}")
        return self

    @property
    def conditions(self) -> tuple[str, ...]:
        return tuple(n for n in type(self).model_fields if n != "path" and getattr(self, n) is not None)


class Match(Spec):
    """What a change must be: one of each list that is given, and all of ``where``. A handler's list stands in place of
    its monitor's. Without lists, changes of ``public_pipeline_run`` that are no deletes."""

    objects: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None
    change_types: Annotated[tuple[ChangeType, ...] | None, Field(min_length=1)] = None
    pipeline_uuid: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None
    status: Annotated[tuple[str, ...] | None, Field(min_length=1)] = None
    where: tuple[Predicate, ...] = ()


class Label(Spec):
    """One label's value: a fixed ``text``, a ``variable`` of the row, a ``path`` of the record, or a ``column`` of the
    query that ``each`` names. Where that is null or empty: ``absent`` stands in, or ``optional`` leaves the label
    out, or the handler fails."""

    text: str | None = None
    variable: Path | None = None
    path: Path | None = None
    column: Identifier | None = None
    absent: Annotated[str | None, Field(min_length=1)] = None
    optional: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Label:
        if sum(v is not None for v in (self.text, self.variable, self.path, self.column)) != 1:
            raise ValueError("needs exactly one of text, variable, path, column")
        if self.absent is not None and self.optional:
            raise ValueError("has both absent and optional")
        return self


Labels = dict[LabelKey, Label]


class Query(Spec):
    """One SELECT in BigQuery's dialect over ``source.<table>``, as ``sql`` or in a ``file`` beside the monitor.

    ``@source_timestamp`` (TIMESTAMP) is always bound; ``parameters`` binds variables as STRING, each required.
    ``missing``: table → the row that stands in for the result where that table does not exist.
    """

    sql: Annotated[str | None, Field(min_length=1)] = None
    file: SqlFile | None = None
    parameters: dict[Identifier, Path] = {}
    missing: dict[Identifier, dict[Identifier, float]] = {}

    @model_validator(mode="after")
    def _one_text(self) -> Query:
        if (self.sql is None) == (self.file is None):
            raise ValueError("needs exactly one of sql and file")
        return self


class Gauge(Spec):
    """A value at the time of the change. ``value``: arithmetic over ``query.column``; ``each``: one point per row
    of that query. ``missing``: table → what the gauge is where that table does not exist (before the query's own
    ``missing``; of several missing tables, ``fail`` wins over ``omit`` over a number). ``nulls``: what a null column
    counts as; ``zero_denominator``: what the gauge is where a denominator is 0 or less."""

    name: MetricName
    value: Annotated[str, Field(min_length=1)]
    unit: str = "1"
    description: str = ""
    labels: Labels = {}
    each: Identifier | None = None
    missing: dict[Identifier, Otherwise] = {}
    nulls: Otherwise = "omit"
    zero_denominator: Otherwise = "fail"


class Counter(Spec):
    """How many changes matched since midnight UTC of their day, a cumulative metric: rates and sums come out right
    however many changes fall into the same seconds."""

    name: MetricName
    unit: str = "1"
    description: str = ""
    labels: Labels = {}


class Handler(Spec):
    """A variant of its monitor: which changes, in which variables their tables are, further labels."""

    match: Match = Match()
    tables: dict[Identifier, Path] = {}
    labels: Labels = {}


class MonitorSpec(Spec):
    monitor: Identifier
    description: str = ""
    match: Match = Match()
    labels: Labels = {}
    handlers: Annotated[dict[Identifier, Handler], Field(min_length=1)]
    queries: dict[Identifier, Query] = {}
    gauges: tuple[Gauge, ...] = ()
    counters: tuple[Counter, ...] = ()

    @model_validator(mode="after")
    def _tells_something(self) -> MonitorSpec:
        if not self.gauges and not self.counters:
            raise ValueError("tells nothing: needs gauges or counters")
        return self
