"""A monitor ready to run: its queries parsed, every name in it known to be right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from platform_assets.engine.cdc.spec import Gauge, Handler, Labels, Match, MonitorSpec
from platform_assets.engine.cdc.values import columns_of, parse_value
from platform_assets.engine.sql.checked import Transform

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Monitor:
    """``queries``: the parsed text of each of the spec's queries, by name."""

    spec: MonitorSpec
    queries: Mapping[str, Transform]

    @property
    def name(self) -> str:
        return self.spec.monitor


@dataclass(frozen=True)
class SpecProblem:
    """One thing wrong; ``location`` is the way from the file's root."""

    location: Location
    reason: str
    nearest: str | None = None


def tables_of(transform: Transform) -> tuple[str, ...]:
    """The handler's names of the tables a query reads, sorted."""
    return tuple(table.table for table in transform.tables)


def queries_of(gauge: Gauge) -> tuple[str, ...]:
    """The queries whose results a gauge needs, sorted."""
    used = {column.query for column in columns_of(parse_value(gauge.value))}
    return tuple(sorted(used | ({gauge.each} if gauge.each else set())))


def check(monitor: Monitor) -> Iterator[SpecProblem]:
    """Everything wrong with a monitor that its model accepts and whose queries parse."""
    yield from _query_problems(monitor)
    for index, gauge in enumerate(monitor.spec.gauges):
        yield from _gauge_problems(monitor, gauge, ("gauges", index))
    yield from _label_problems(monitor.spec.labels, ("labels",), None)
    for index, counter in enumerate(monitor.spec.counters):
        yield from _label_problems(counter.labels, ("counters", index, "labels"), None)
    for name, handler in monitor.spec.handlers.items():
        yield from _handler_problems(monitor, handler, ("handlers", name))
    yield from _pattern_problems(monitor.spec)
    names = [(("gauges", i), g.name) for i, g in enumerate(monitor.spec.gauges)]
    names += [(("counters", i), c.name) for i, c in enumerate(monitor.spec.counters)]
    for index, (place, name) in enumerate(names):
        if name in [other for _, other in names[:index]]:
            yield SpecProblem((*place, "name"), f"{name!r} is told twice; a series has one source")


def _query_problems(monitor: Monitor) -> Iterator[SpecProblem]:
    used = {name for gauge in monitor.spec.gauges if _readable(gauge) for name in queries_of(gauge)}
    broken = any(not _readable(gauge) for gauge in monitor.spec.gauges)
    for name, query in monitor.spec.queries.items():
        transform = monitor.queries.get(name)
        if transform is None:
            continue
        if name not in used and not broken:
            yield SpecProblem(("queries", name), "is used by no gauge", _near(name, used))
        for table, row in query.missing.items():
            place = ("queries", name, "missing", table)
            yield from _known_table(table, tables_of(transform), place)
            if set(row) != set(transform.columns):
                yield SpecProblem(place, f"must give every column: {', '.join(transform.columns)}")


def _gauge_problems(monitor: Monitor, gauge: Gauge, place: Location) -> Iterator[SpecProblem]:
    try:
        columns = list(columns_of(parse_value(gauge.value)))
    except ValueError as error:
        yield SpecProblem((*place, "value"), str(error))
        return
    queries = monitor.spec.queries
    if gauge.each and gauge.each not in queries:
        yield SpecProblem((*place, "each"), f"there is no query {gauge.each!r}", _near(gauge.each, queries))
    if not columns:
        yield SpecProblem((*place, "value"), "reads no query")
    for column in columns:
        if column.query not in queries:
            reason = f"there is no query {column.query!r}"
            yield SpecProblem((*place, "value"), reason, _near(column.query, queries))
        elif (found := monitor.queries.get(column.query)) and column.column not in found.columns:
            reason = f"query {column.query!r} has no column {column.column!r}"
            yield SpecProblem((*place, "value"), reason, _near(column.column, found.columns))
    each = monitor.queries.get(gauge.each or "")
    if each or not gauge.each:
        yield from _label_problems(gauge.labels, (*place, "labels"), each.columns if each else None)
    known = {
        t for name in queries_of(gauge) if name in monitor.queries for t in tables_of(monitor.queries[name])
    }
    for table in gauge.missing if set(queries_of(gauge)) <= set(monitor.queries) else ():
        yield from _known_table(table, tuple(sorted(known)), (*place, "missing", table))


def _handler_problems(monitor: Monitor, handler: Handler, place: Location) -> Iterator[SpecProblem]:
    yield from _label_problems(handler.labels, (*place, "labels"), None)
    needed = {table: name for name, found in monitor.queries.items() for table in tables_of(found)}
    for table in sorted(needed.keys() - handler.tables.keys()):
        reason = f"says not which variable names table {table!r}, which query {needed[table]!r} reads"
        yield SpecProblem((*place, "tables"), reason, _near(table, handler.tables))
    unread = (
        handler.tables.keys() - needed.keys() if len(monitor.queries) == len(monitor.spec.queries) else ()
    )
    for table in sorted(unread):
        yield SpecProblem((*place, "tables", table), "is read by no query", _near(table, needed))


def _label_problems(
    labels: Labels, place: Location, columns: tuple[str, ...] | None
) -> Iterator[SpecProblem]:
    for key, label in labels.items():
        if label.column is None:
            continue
        if columns is None:
            yield SpecProblem((*place, key), "a column is known only to a gauge with 'each'")
        elif label.column not in columns:
            reason = f"the query has no column {label.column!r}"
            yield SpecProblem((*place, key, "column"), reason, _near(label.column, columns))


def _pattern_problems(spec: MonitorSpec) -> Iterator[SpecProblem]:
    places: list[tuple[Location, Match]] = [(("match",), spec.match)]
    places += [(("handlers", name, "match"), handler.match) for name, handler in spec.handlers.items()]
    for place, match in places:
        for index, predicate in enumerate(match.where):
            try:
                re.compile(predicate.matches or "")
            except re.error as error:
                yield SpecProblem((*place, "where", index, "matches"), f"is no regular expression: {error}")


def _known_table(table: str, known: tuple[str, ...], place: Location) -> Iterator[SpecProblem]:
    if table not in known:
        yield SpecProblem(place, f"no query here reads table {table!r}", _near(table, known))


def _readable(gauge: Gauge) -> bool:
    try:
        parse_value(gauge.value)
    except ValueError:
        return False
    return True


def _near(name: str, known: object) -> str | None:
    return next(iter(get_close_matches(name, list(known), n=1)), None)  # type: ignore[call-overload]
