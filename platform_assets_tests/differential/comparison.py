"""Both sides' answers, and where they differ."""

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.audit import compile_audit, judge
from platform_assets.engine.quality.model import CheckOutcome
from platform_assets.engine.quality.suite import parse_suite
from platform_assets.engine.sql.dialect import DUCKDB_MACROS, DUCKDB_TYPES, to_duckdb
from platform_assets_tests.differential.cases import SCHEMA, TABLES, Case, arrow, cases
from platform_assets_tests.differential.environment import ask

BACKENDS = ("pandas", "sqlite")


@dataclass(frozen=True)
class Difference:
    """One answer in which the two sides differ. ``what``: error, success, counts or observed."""

    backend: str
    table: str
    case: Case
    what: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return (
            f"{self.backend} {self.table} {self.case.name}: {self.what}: ours {self.ours}, GE {self.theirs}"
        )


def compare() -> tuple[list[Difference], int]:
    """All differences, and how many answers were compared."""
    asked = list(cases())
    found: list[Difference] = []
    theirs = _ask_them(asked)
    for table in TABLES:
        ours = _ask_us(asked, table)
        for backend in BACKENDS:
            for case, outcome, answer in zip(asked, ours, theirs[backend][table], strict=True):
                found += _differences(backend, table, case, outcome, answer)
    return found, len(asked) * len(TABLES) * len(BACKENDS)


def _ask_them(asked: list[Case]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / f"{name}.parquet") for name in TABLES}
        for name, rows in TABLES.items():
            pq.write_table(arrow(rows), files[name])
        entries = [{"type": case.type, "kwargs": case.kwargs} for case in asked]
        question = {"tables": files, "suites": dict.fromkeys(TABLES, entries), "backends": BACKENDS}
        return ask("ge_side.py", question, timeout=900)


def _ask_us(asked: list[Case], table: str) -> tuple[CheckOutcome, ...]:
    raw = [{"type": case.type, **case.ours, "name": f"c{i}"} for i, case in enumerate(asked)]
    suite, problems = parse_suite(raw, SCHEMA)
    assert problems == [], [(asked[p.index].name, p.reason) for p in problems]
    name = TableName("ours", table)
    plan = compile_audit(suite, SCHEMA, name)
    with duckdb.connect() as connection:
        for macro in DUCKDB_MACROS:
            connection.execute(macro)
        connection.execute("CREATE SCHEMA ours")
        rows = arrow(TABLES[table])
        connection.register("rows", rows)
        columns = ", ".join(
            f'CAST("{f.name}" AS {DUCKDB_TYPES[f.type]}) AS "{f.name}"' for f in SCHEMA.fields
        )
        connection.execute(f'CREATE TABLE ours."{table}" AS SELECT {columns} FROM rows')
        return judge(plan, _row(connection, plan.query))


def _row(connection: duckdb.DuckDBPyConnection, query: Any) -> dict[str, Any]:
    types = {
        n: DUCKDB_TYPES[k] + ("[]" if isinstance(v, tuple) else "") for n, (k, v) in query.parameters.items()
    }
    values = {name: value for name, (_, value) in query.parameters.items()}
    cursor = connection.execute(to_duckdb(query.sql, tuple(types.items())), values)
    (row,) = cursor.fetchall()
    return dict(zip([d[0] for d in cursor.description], row, strict=True))


def _differences(
    backend: str, table: str, case: Case, outcome: CheckOutcome, answer: Any
) -> list[Difference]:
    def difference(what: str, ours: Any, theirs: Any) -> Difference:
        return Difference(backend, table, case, what, ours, theirs)

    if answer["error"]:
        return [difference("error", outcome.success, answer["error"])]
    found = []
    if outcome.success != answer["success"]:
        found.append(difference("success", outcome.success, answer["success"]))
    ours, theirs = _counts(outcome), {name: answer["result"].get(name) for name in _counts(outcome)}
    if outcome.element_count is not None and not _same_counts(ours, theirs):
        found.append(difference("counts", ours, theirs))
    observed = _observed(outcome, answer)
    if (
        outcome.element_count is None
        and observed
        and not all(_close(*pair) for pair in zip(*observed, strict=True))
    ):
        found.append(difference("observed", *observed))
    return found


def _observed(outcome: CheckOutcome, answer: Any) -> tuple[list[float], list[float]] | None:
    """The numbers that both sides observed; ``None`` where either says nothing, or it in other words."""
    sides = []
    for value in (outcome.observed_value, answer["result"].get("observed_value")):
        values = value["values"] if isinstance(value, dict) and "values" in value else [value]
        numbers = [_number(v) for v in values]
        if None in numbers:
            return None
        sides.append([n for n in numbers if n is not None])
    return (sides[0], sides[1]) if len(sides[0]) == len(sides[1]) else None


def _counts(outcome: CheckOutcome) -> dict[str, Any]:
    return {
        "element_count": outcome.element_count,
        "missing_count": outcome.missing_count,
        "unexpected_count": outcome.unexpected_count,
    }


def _same_counts(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return all(theirs[name] == value for name, value in ours.items())


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _close(ours: float, theirs: float) -> bool:
    return ours == theirs or math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
