"""What a change means to a monitor: the questions to ask, and the points that their answers make.

In two steps, since a batch's questions are asked together: ``prepare`` says what a handler needs to know of the
warehouse, ``tell`` makes points of it. DataError where the change lacks what the monitor needs: that never passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from platform_assets.engine.cdc.monitor import Monitor, queries_of, tables_of
from platform_assets.engine.cdc.points import Point, Series
from platform_assets.engine.cdc.queries import Question, ask
from platform_assets.engine.cdc.record import ChangeRecord, look_up, text_of
from platform_assets.engine.cdc.spec import Gauge, Label, Labels, Otherwise
from platform_assets.engine.cdc.tables import DataScope, SourceTable
from platform_assets.engine.cdc.values import NoDenominator, NullOperand, columns_of, evaluate, parse_value
from platform_assets.engine.errors import DataError
from platform_assets.engine.schema.model import FieldType

Row = Mapping[str, Any]
Answers = Mapping[Question, Sequence[Row]]


@dataclass(frozen=True)
class Task:
    """One change for one handler. ``message_id``: whose outcome it is part of."""

    message_id: str
    record: ChangeRecord
    monitor: Monitor
    handler: str

    @property
    def name(self) -> str:
        return f"{self.monitor.name}.{self.handler}"


@dataclass(frozen=True)
class Prepared:
    """``tables``: by the handler's names; ``values``: of the queries' parameters."""

    task: Task
    tables: Mapping[str, SourceTable]
    values: Mapping[str, Mapping[str, tuple[FieldType, str | datetime]]]


def prepare(task: Task, scope: DataScope | None) -> Prepared:
    """Resolve the tables and values that a change names. ``scope`` is None where its partner is no tenant."""
    spec = task.monitor.spec
    handler = spec.handlers[task.handler]
    told = [*(gauge.labels for gauge in spec.gauges), *(counter.labels for counter in spec.counters)]
    for labels in (spec.labels, handler.labels, *told):
        for _ in _labels(labels, task.record, None):
            pass  # a label that cannot be told is known before anything is asked
    if handler.tables and scope is None:
        raise DataError("the change names no partner that is a tenant; its tables cannot be read")
    tables = {
        name: _table(task.record, variable, scope) for name, variable in handler.tables.items() if scope
    }
    values = {
        name: {"source_timestamp": (FieldType.TIMESTAMP, task.record.at)}
        | {
            p: (FieldType.STRING, _required(task.record, variable))
            for p, variable in query.parameters.items()
        }
        for name, query in spec.queries.items()
    }
    return Prepared(task, tables, values)


def _table(record: ChangeRecord, variable: str, scope: DataScope) -> SourceTable:
    name = text_of(look_up(record.variables, variable))
    if not name:
        raise DataError(f"No variable '{variable}' found in payload.")
    return scope.resolve(name, variable)


def _required(record: ChangeRecord, variable: str) -> str:
    found = text_of(look_up(record.variables, variable))
    if not found:
        raise DataError(f"Missing required '{variable}' variable in payload.")
    return found


def questions(prepared: Prepared, present: frozenset[SourceTable]) -> dict[str, Question]:
    """Query → what to ask, for each query that some gauge needs and whose tables all exist."""
    found = {}
    for gauge in prepared.task.monitor.spec.gauges:
        missing = _missing(prepared, gauge, present)
        if _rule(gauge, missing) is None:
            for name in queries_of(gauge):
                if not missing[name]:
                    query = prepared.task.monitor.queries[name]
                    found[name] = ask(query, prepared.tables, prepared.values[name])
    return found


def tell(prepared: Prepared, present: frozenset[SourceTable], answers: Answers) -> list[Point]:
    """The change's gauges. DataError names a table, column or label without which there is no value."""
    asked = questions(prepared, present)
    points: list[Point] = []
    for gauge in prepared.task.monitor.spec.gauges:
        missing = _missing(prepared, gauge, present)
        rows = {
            name: answers[asked[name]]
            if not missing[name]
            else _stand_in(prepared, gauge, name, missing[name])
            for name in queries_of(gauge)
            if _rule(gauge, missing) is None
        }
        points += _gauge(prepared.task, gauge, rows, _rule(gauge, missing), missing)
    return points


def count_series(task: Task) -> list[Series]:
    """The series that the change is to be counted in."""
    spec = task.monitor.spec
    return [Series.of(c.name, _all_labels(task, c.labels, None)) for c in spec.counters]


# --- Missing tables -------------------------------------------------------------------------------------------------


def _missing(prepared: Prepared, gauge: Gauge, present: frozenset[SourceTable]) -> dict[str, list[str]]:
    """Query → those of its tables that do not exist, by the handler's names."""
    return {
        name: [t for t in tables_of(prepared.task.monitor.queries[name]) if prepared.tables[t] not in present]
        for name in queries_of(gauge)
    }


def _rule(gauge: Gauge, missing: Mapping[str, Sequence[str]]) -> Otherwise | None:
    """What the gauge itself says of its missing tables: ``fail`` before ``omit`` before a number."""
    said = [gauge.missing[t] for tables in missing.values() for t in tables if t in gauge.missing]
    return next((rule for rule in ("fail", "omit") if rule in said), said[0] if said else None)


def _stand_in(prepared: Prepared, gauge: Gauge, query: str, missing: Sequence[str]) -> Sequence[Row]:
    rows = prepared.task.monitor.spec.queries[query].missing
    for table in missing:
        if table not in rows:
            raise DataError(f"{gauge.name}: table {prepared.tables[table]} does not exist")
    return [rows[missing[0]]]


# --- Values -----------------------------------------------------------------------------------------------------------


def _gauge(
    task: Task,
    gauge: Gauge,
    rows: Mapping[str, Sequence[Row]],
    rule: Otherwise | None,
    missing: Mapping[str, Sequence[str]],
) -> Iterator[Point]:
    if rule is not None:
        names = ", ".join(sorted({t for tables in missing.values() for t in tables}))
        value = _otherwise(gauge, rule, f"table {names} does not exist")
        if value is not None:
            yield _point(task, gauge, value, None)
        return
    for row in rows[gauge.each] if gauge.each else [None]:
        value = _value(gauge, rows if row is None else {**rows, str(gauge.each): [row]})
        if value is not None:
            yield _point(task, gauge, value, row)


def _value(gauge: Gauge, rows: Mapping[str, Sequence[Row]]) -> float | None:
    expression = parse_value(gauge.value)
    columns = {}
    for column in columns_of(expression):
        if len(rows[column.query]) > 1:
            raise DataError(
                f"{gauge.name}: query {column.query} gave {len(rows[column.query])} rows, not one"
            )
        found = rows[column.query][0][column.column] if rows[column.query] else None
        columns[column] = (
            gauge.nulls if found is None and isinstance(gauge.nulls, float) else _number(found, gauge)
        )
    try:
        value: float | None = evaluate(expression, columns)
    except NullOperand as null:
        value = _otherwise(gauge, gauge.nulls, f"{null} is null")
    except NoDenominator:
        value = _otherwise(gauge, gauge.zero_denominator, "a denominator is 0 or less")
    if value is not None and not math.isfinite(value):
        raise DataError(f"{gauge.name}: {value} is not a finite number")
    return value


def _number(found: Any, gauge: Gauge) -> float | None:
    try:
        return None if found is None else float(found)
    except (TypeError, ValueError):
        raise DataError(f"{gauge.name}: a column holds {type(found).__name__}, not numbers") from None


def _otherwise(gauge: Gauge, rule: Otherwise, reason: str) -> float | None:
    if rule == "fail":
        raise DataError(f"{gauge.name}: {reason}")
    return None if rule == "omit" else float(rule)


def _point(task: Task, gauge: Gauge, value: float, row: Row | None) -> Point:
    series = Series.of(gauge.name, _all_labels(task, gauge.labels, row))
    return Point(series, task.record.at, value, source=task.message_id)


# --- Labels -----------------------------------------------------------------------------------------------------------


def _all_labels(task: Task, own: Labels, row: Row | None) -> dict[str, str]:
    """A gauge's label stands in place of its handler's, and that of its monitor's."""
    spec = task.monitor.spec
    labels = {**spec.labels, **spec.handlers[task.handler].labels, **own}
    return dict(_labels(labels, task.record, row))


def _labels(labels: Labels, record: ChangeRecord, row: Row | None) -> Iterator[tuple[str, str]]:
    for key, label in labels.items():
        if label.column is not None and row is None:
            continue  # of a stand-in for a missing table: there is no row to name
        value = _label(label, record, row) or label.absent
        if value:
            yield key, value
        elif not label.optional:
            name = label.variable or label.path or label.column
            raise DataError(f"Missing required '{name}' variable in payload.")


def _label(label: Label, record: ChangeRecord, row: Row | None) -> str:
    if label.text is not None:
        return label.text
    if label.variable is not None:
        return text_of(look_up(record.variables, label.variable))
    if label.path is not None:
        return text_of(look_up(record.fields, label.path))
    value = (row or {}).get(str(label.column))
    return "" if value is None else text_of(value) or str(value)
