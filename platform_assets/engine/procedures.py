"""Procedures and migrations as configuration knows them: names, parameters, tables, calls; their SQL is parsed when it
is needed (``engine.sql.script``), because every run process reads the configuration.

Owns what holds between them: calls that fit, an order, and which tables a procedure touches through those it calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import FieldType, Scalar

if TYPE_CHECKING:
    from platform_assets.engine.sql.script import Script


@dataclass(frozen=True)
class Call:
    """``CALL metadata.name(p_start, p_end)``: the caller's own parameters, by position."""

    line: int
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Procedure:
    """``procedures/<domain>/<name>.sql``. ``writes`` and ``reads`` are its own, not those of what it calls."""

    name: str
    domain: str
    file: str
    text: str
    parameters: Mapping[str, FieldType]
    writes: tuple[TableName, ...]
    reads: tuple[TableName, ...]
    calls: tuple[Call, ...]

    @property
    def content_hash(self) -> str:
        return content_hash(self.text)

    @cached_property
    def script(self) -> Script:
        from platform_assets.engine.sql.script import parse_procedure

        return parse_procedure(self.text, file=self.file, name=self.name)


@dataclass(frozen=True)
class Migration:
    """``migrations/<number>_<name>.sql``: runs once for each tenant, in the order of the numbers."""

    number: int
    name: str
    file: str
    text: str
    writes: tuple[TableName, ...]
    reads: tuple[TableName, ...]

    @property
    def content_hash(self) -> str:
        return content_hash(self.text)

    @cached_property
    def script(self) -> Script:
        from platform_assets.engine.sql.script import parse_migration

        return parse_migration(self.text, file=self.file)


def content_hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def call_problems(procedures: Mapping[str, Procedure]) -> list[Problem]:
    """Calls of what is not there, with other arguments than it takes, or in a circle."""
    return [
        Problem(procedure.file, call.line, "", reason)
        for procedure in procedures.values()
        for call in procedure.calls
        if (reason := _call_problem(procedure, call, procedures))
    ]


def _call_problem(caller: Procedure, call: Call, procedures: Mapping[str, Procedure]) -> str | None:
    called = procedures.get(call.name)
    if called is None:
        return f"there is no procedure {call.name!r}; there are {', '.join(sorted(procedures))}"
    wanted, given = list(called.parameters.values()), [caller.parameters[name] for name in call.arguments]
    if wanted != given:
        return f"{call.name} takes ({', '.join(wanted)}), not ({', '.join(given)})"
    return "calls itself, perhaps through others" if caller.name in reached(call.name, procedures) else None


def reached(name: str, procedures: Mapping[str, Procedure]) -> frozenset[str]:
    """The procedure and all that it calls, through others too."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in seen and one in procedures:
            seen.add(one)
            waiting += [call.name for call in procedures[one].calls]
    return frozenset(seen)


def in_call_order(procedures: Mapping[str, Procedure]) -> tuple[Procedure, ...]:
    """Those that are called come before those that call them; else by name. There must be no circle."""

    def depth(name: str) -> int:
        return 1 + max((depth(call.name) for call in procedures[name].calls), default=0)

    return tuple(sorted(procedures.values(), key=lambda p: (depth(p.name), p.name)))


def tables_of(
    name: str, procedures: Mapping[str, Procedure]
) -> tuple[tuple[TableName, ...], tuple[TableName, ...]]:
    """(written, only read) by the procedure and all that it calls, sorted."""
    all_of_them = [procedures[one] for one in sorted(reached(name, procedures))]
    writes = {table for procedure in all_of_them for table in procedure.writes}
    reads = {table for procedure in all_of_them for table in procedure.reads}
    return tuple(sorted(writes)), tuple(sorted(reads - writes))


# --- Values ----------------------------------------------------------------------------------------------------------


def typed_values(procedure: Procedure, given: Mapping[str, str]) -> dict[str, tuple[FieldType, Scalar]]:
    """Texts (of a command line, of a run's configuration) as the procedure's parameters: ``2026-01-31``, ``3.0`` for
    INT64, ``yes`` for BOOL. ConfigError with every parameter that is missing, unknown or of another type."""
    problems = [f"{name} is missing" for name in procedure.parameters if name not in given]
    known = ", ".join(procedure.parameters) or "none"
    problems += [
        f"{name} is not a parameter; there are {known}" for name in given if name not in procedure.parameters
    ]
    values: dict[str, tuple[FieldType, Scalar]] = {}
    for name, kind in procedure.parameters.items():
        if name in given:
            try:
                values[name] = (kind, _READERS[kind](given[name]))
            except (KeyError, ValueError, ArithmeticError):
                problems.append(f"{name}: {given[name]!r} is not a {kind}")
    if problems:
        found = tuple(Problem(procedure.file, 1, "", problem) for problem in problems)
        raise ConfigError(f"{procedure.name} cannot run with these parameters", found)
    return values


def _whole(text: str) -> int:
    number = Decimal(text)
    if number != number.to_integral_value() or not -(2**63) <= number < 2**63:
        raise ValueError
    return int(number)


def _finite(text: str) -> Decimal:
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError
    return number


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _truth(text: str) -> bool:
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]


def _date(text: str) -> date:
    """A day, or the day of an ISO time."""
    return datetime.fromisoformat(text).date()


_READERS: Mapping[FieldType, Callable[[str], Scalar]] = {
    FieldType.STRING: str,
    FieldType.DATE: _date,
    FieldType.TIMESTAMP: _moment,
    FieldType.INT64: _whole,
    FieldType.FLOAT64: lambda text: float(_finite(text)),
    FieldType.BOOL: _truth,
    FieldType.NUMERIC: _finite,
    FieldType.BIGNUMERIC: _finite,
}
