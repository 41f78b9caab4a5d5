"""A table's whole suite of expectations, side by side with Great Expectations, Pandera and one scan written by hand.

    python -m platform_assets_tests.benchmarks.bench_quality [--sizes 1e6 1e7] [--suites 15 50] [--repeat 3]

Everybody gets the same rows in the form they like best (DataFrame in memory, table in DuckDB) before the clock starts,
and answers the same expectations with counts; all of them hold. ``ours`` is everything from the suite as it is written in
YAML to the outcomes: reading, compiling, translating, one query, judging; nothing is remembered from run to run. ``by hand``
is that query alone, as somebody would write it. Each number is the best of ``repeat`` runs in a process of its own.
Great Expectations and Pandera run in their own environment: ``python -m platform_assets_tests.differential`` makes it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from platform_assets_tests.differential.environment import HOW, PYTHON, installed

HERE = Path(__file__).parent
NUMBERS = [f"n{i}" for i in range(10)]
TEXTS = ["account", "currency", "service", "region", "sku", "owner"]
SETS = {
    "currency": ["USD", "EUR", "GBP", "JPY", "CHF"],
    "service": [f"service {i}" for i in range(20)],
    "region": [f"region-{i}" for i in range(12)],
    "owner": [f"team {i}" for i in range(40)],
}
COLUMNS = {"id": "INT64", **dict.fromkeys(NUMBERS, "FLOAT64"), **dict.fromkeys(TEXTS, "STRING")}


def generate(file: Path, rows: int) -> None:
    """One Parquet file of 17 columns; text columns hold few values, as cost tables do."""
    import duckdb

    numbers = ", ".join(f"100 * random() AS {name}" for name in NUMBERS)
    sets = ", ".join(
        f"'{values[0].rstrip('0')}' || CAST(floor(random() * {len(values)}) AS INT) AS {name}"
        for name, values in SETS.items()
        if name != "currency"
    )
    currencies = ", ".join(f"'{c}'" for c in SETS["currency"])
    duckdb.sql(
        f"COPY (SELECT i AS id, {numbers}, 'acct-' || CAST(100000 + i % 1000 AS VARCHAR) AS account, "
        f"([{currencies}])[1 + CAST(floor(random() * 5) AS INT)] AS currency, {sets}, "
        f"'sku-' || CAST(i % 500 AS VARCHAR) AS sku FROM range({rows}) r(i)) TO '{file}' (FORMAT parquet)"
    )


# --- The expectations, and the same by hand -------------------------------------------------------------------

Expectation = tuple[dict[str, Any], str]


def _e(type_: str, by_hand: str, **arguments: Any) -> Expectation:
    return {"type": type_, **arguments}, by_hand


def _not_null(column: str) -> Expectation:
    return _e("expect_column_values_to_not_be_null", f"count({column})", column=column)


def _between(column: str) -> Expectation:
    hand = f"count_if(NOT ({column} >= 0 AND {column} <= 100))"
    return _e("expect_column_values_to_be_between", hand, column=column, min_value=0, max_value=100)


def _in_set(column: str) -> Expectation:
    values = ", ".join(f"'{v}'" for v in SETS[column])
    hand = f"count_if(NOT ({column} IN ({values})))"
    return _e("expect_column_values_to_be_in_set", hand, column=column, value_set=SETS[column])


def _length(column: str) -> Expectation:
    hand = f"count_if(NOT (length({column}) >= 2 AND length({column}) <= 20))"
    arguments = {"column": column, "min_value": 2, "max_value": 20}
    return _e("expect_column_value_lengths_to_be_between", hand, **arguments)


def _number(name: str, function: str, column: str) -> Expectation:
    arguments = {"column": column, "min_value": 0, "max_value": 1000}
    return _e(f"expect_column_{name}_to_be_between", f"{function}({column})", **arguments)


def _pair(a: str, b: str) -> Expectation:
    hand = f"count_if(NOT ({a} IS NULL AND {b} IS NULL) AND NOT coalesce({a} >= {b}, false))"
    arguments = {"column_A": a, "column_B": b, "or_equal": True, "mostly": 0.4}
    return _e("expect_column_pair_values_a_to_be_greater_than_b", hand, **arguments)


def _repeats(*columns: str) -> str:
    keys = ", ".join(columns)
    known = " OR ".join(f"{c} IS NOT NULL" for c in columns)
    return (
        f"(SELECT coalesce(sum(n), 0) FROM (SELECT count(*) AS n FROM t WHERE {known} GROUP BY {keys} "
        "HAVING count(*) > 1))"
    )


UNIQUE = _e("expect_column_values_to_be_unique", _repeats("id"), column="id")
ROWS = _e("expect_table_row_count_to_be_between", "count(*)", min_value=1)
COMPOUND = _e("expect_compound_columns_to_be_unique", _repeats("id", "sku"), column_list=["id", "sku"])
DISTINCT = _e(
    "expect_column_unique_value_count_to_be_between", "count(DISTINCT account)", column="account", min_value=1
)
WIDTH = _e("expect_table_column_count_to_equal", "17", value=17)

SUITES: dict[int, list[Expectation]] = {
    15: [
        *map(_not_null, ("id", "n0", "account", "currency")),
        *map(_between, ("n0", "n1", "n2")),
        *map(_in_set, ("currency", "service")),
        _length("account"),
        _number("mean", "avg", "n0"),
        _number("max", "max", "n1"),
        _pair("n0", "n1"),
        UNIQUE,
        ROWS,
    ],
    50: [
        *map(_not_null, ("id", *NUMBERS, *TEXTS[:5])),
        *map(_between, NUMBERS),
        *map(_in_set, SETS),
        *map(_length, ("account", "currency", "sku", "owner")),
        *(_number("mean", "avg", c) for c in NUMBERS[:4]),
        *(_number("max", "max", c) for c in NUMBERS[:2]),
        *(_number("min", "min", c) for c in NUMBERS[:2]),
        _number("stdev", "stddev_samp", "n5"),
        _pair("n0", "n1"),
        _pair("n2", "n3"),
        UNIQUE,
        COMPOUND,
        DISTINCT,
        ROWS,
        WIDTH,
    ],
}


# --- Who runs -------------------------------------------------------------------------------------------------


def prepare_ours(file: str, suite: list[Expectation]) -> Callable[[], int]:
    """From the suite as read from YAML to its outcomes; caches are emptied, as a new process would find them."""
    from platform_assets.engine.names import TableName
    from platform_assets.engine.quality.audit import compile_audit, judge
    from platform_assets.engine.quality.suite import parse_suite
    from platform_assets.engine.schema.model import Field, FieldType, TableSchema
    from platform_assets.engine.sql.dialect import DUCKDB_TYPES, to_duckdb

    connection = _loaded(file)
    schema = TableSchema(tuple(Field(name, FieldType(kind)) for name, kind in COLUMNS.items()))
    raw = [entry for entry, _ in suite]

    def run() -> int:
        to_duckdb.cache_clear()
        expectations, problems = parse_suite(raw, schema)
        plan = compile_audit(expectations, schema, TableName("main", "t"))
        types = tuple((name, DUCKDB_TYPES[kind]) for name, (kind, _) in plan.query.parameters.items())
        values = {name: value for name, (_, value) in plan.query.parameters.items()}
        found = connection.sql(to_duckdb(plan.query.sql, types), params=values).to_arrow_table().to_pylist()
        return sum(outcome.success for outcome in judge(plan, found[0])) - len(problems)

    return run


def prepare_by_hand(file: str, suite: list[Expectation]) -> Callable[[], int]:
    connection = _loaded(file)
    query = f"SELECT {', '.join(hand for _, hand in suite)} FROM t"
    return lambda: len(connection.sql(query).fetchall()[0])


def _loaded(file: str) -> Any:
    import duckdb

    from platform_assets.engine.sql.dialect import DUCKDB_MACROS

    connection = duckdb.connect()
    for macro in DUCKDB_MACROS:
        connection.execute(macro)
    connection.execute(f"CREATE TABLE t AS SELECT * FROM read_parquet('{file}')")
    return connection


PREPARE = {"ours": prepare_ours, "by hand": prepare_by_hand}


def child(who: str, file: str, count: int, repeat: int) -> None:
    run = PREPARE[who](file, SUITES[count])
    met = run()
    seconds = []
    for _ in range(repeat):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": min(seconds), "met": met}))


def measure(who: str, file: Path, count: int, repeat: int) -> dict[str, Any]:
    """One process; Great Expectations and Pandera in theirs."""
    if who in PREPARE:
        command = [sys.executable, "-m", __spec__.name, "--child", who, str(file), str(count), str(repeat)]
        text = ""
    else:
        command = [str(PYTHON), str(HERE / "quality_side.py"), who, str(file), str(repeat)]
        text = json.dumps([entry for entry, _ in SUITES[count]])
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1][:200]}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


OTHERS = ("ge pandas", "ge duckdb", "pandera polars")
GOALS = {"by hand": 1 / 1.3, 15: 8.0, 50: 20.0}


def compare(file: Path, rows: int, count: int, repeat: int) -> None:
    found = {who: measure(who, file, count, repeat) for who in (*PREPARE, *OTHERS)}
    ours = found["ours"]["seconds"]
    for who, answer in found.items():
        if "error" in answer:
            print(f"| {rows:>10,} | {count} | {who:<14} | {answer['error']} |", flush=True)
            continue
        ratio = answer["seconds"] / ours
        print(
            f"| {rows:>10,} | {count} | {who:<14} | {answer['seconds']:8.3f} s | {ratio:7.2f} × ours "
            f"| {answer['met']} of {count} met |",
            flush=True,
        )


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "--child":
        who, file, count, repeat = sys.argv[2:]
        child(who, file, int(count), int(repeat))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=float, default=[1e6, 1e7])
    parser.add_argument("--suites", nargs="+", type=int, choices=SUITES, default=list(SUITES))
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if not installed():
        raise SystemExit(f"Great Expectations and Pandera have no environment; {HOW}")
    print("|       rows |    | who            |       time |               |                |")
    print("| ---------: | -: | -------------- | ---------: | ------------: | -------------- |")
    with tempfile.TemporaryDirectory() as folder:
        for rows in map(int, options.sizes):
            file = Path(folder) / f"{rows}.parquet"
            generate(file, rows)
            for count in options.suites:
                compare(file, rows, count, options.repeat if rows < 5e6 else 1)
            file.unlink()


if __name__ == "__main__":
    main()
