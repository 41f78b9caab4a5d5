"""A table's whole suite of expectations, side by side with Great Expectations, Pandera and one scan written by hand.

    python -m platform_assets_tests.benchmarks.bench_quality [--tables plain cost] [--sizes 1e6 1e7] [--suites 15 50]

The default is 1e6 rows: minutes. 1e7 takes a quarter of an hour and 8 GB.

Everybody gets the same rows in the form they like best (DataFrame in memory, table in DuckDB) before the clock starts,
and answers the same expectations with counts; all of them hold. ``ours`` is everything from the suite as it is
written in YAML to the outcomes: reading, compiling, translating, one query, judging; nothing is remembered from run
to run. ``by hand`` is one query with the same counts, as somebody would write it (NaN is no number there either).
Two tables: ``plain`` has floats and short texts; ``cost`` is a FOCUS table with money as decimals, held to the rules
that such tables are held to, but for sums and means: Great Expectations takes minutes to add decimals in pandas.
It knows no regular expressions on DuckDB either, so those fail there.
Each number is the best of ``repeat`` runs in a process of its own; ``cpu`` is what all its threads used.
Great Expectations and Pandera run in an environment of their own, made from a hash-pinned lock.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from platform_assets_tests.differential.environment import PYTHON, install

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Subject:
    """A table and its suites: ``select`` makes ``{rows}`` rows in DuckDB's words."""

    columns: dict[str, str]
    select: str
    suites: dict[int, list[Expectation]]


# --- Expectations, each beside the same by hand -----------------------------------------------------------------

Expectation: TypeAlias = tuple[dict[str, Any], str]


def _e(type_: str, by_hand: str, **arguments: Any) -> Expectation:
    return {"type": type_, **arguments}, by_hand


def _filter(condition: str | None) -> str:
    return f" FILTER (WHERE {condition})" if condition else ""


def _not_null(column: str, *, nan: bool = False, where: str | None = None) -> Expectation:
    hand = f"count({column}){_filter(where)}" + (f" - count_if(isnan({column}))" if nan else "")
    condition = {"row_condition": where} if where else {}
    return _e("expect_column_values_to_not_be_null", hand, column=column, **condition)


def _null(column: str, where: str) -> Expectation:
    hand = f"count({column}){_filter(where)}"
    return _e("expect_column_values_to_be_null", hand, column=column, row_condition=where)


def _between(column: str, low: float, high: float, *, nan: bool = False) -> Expectation:
    over = f"({column} > {high} AND NOT isnan({column}))" if nan else f"{column} > {high}"
    arguments = {"column": column, "min_value": low, "max_value": high}
    return _e("expect_column_values_to_be_between", f"count_if({column} < {low} OR {over})", **arguments)


def _in_set(
    column: str, values: Sequence[str], *, not_: bool = False, where: str | None = None
) -> Expectation:
    listed = ", ".join(f"'{v}'" for v in values)
    hand = f"count_if({'' if not_ else 'NOT '}({column} IN ({listed}))){_filter(where)}"
    condition = {"row_condition": where} if where else {}
    kind = f"expect_column_values_to_{'not_' if not_ else ''}be_in_set"
    return _e(kind, hand, column=column, value_set=list(values), **condition)


def _length(column: str, low: int, high: int | None = None) -> Expectation:
    over = f" OR length({column}) > {high}" if high is not None else ""
    arguments = {"column": column, "min_value": low, **({"max_value": high} if high is not None else {})}
    hand = f"count_if(length({column}) < {low}{over})"
    return _e("expect_column_value_lengths_to_be_between", hand, **arguments)


def _regex(column: str, regex: str) -> Expectation:
    hand = f"count_if(NOT regexp_matches({column}, '{regex}'))"
    return _e("expect_column_values_to_match_regex", hand, column=column, regex=regex)


def _number(name: str, function: str, column: str) -> Expectation:
    arguments = {"column": column, "min_value": -1_000_000_000, "max_value": 1_000_000_000}
    return _e(f"expect_column_{name}_to_be_between", f"{function}({column})", **arguments)


def _pair(a: str, b: str, *, or_equal: bool, mostly: float = 1.0) -> Expectation:
    sign = ">=" if or_equal else ">"
    hand = f"count_if(NOT ({a} IS NULL AND {b} IS NULL) AND NOT coalesce({a} {sign} {b}, false))"
    arguments = {"column_A": a, "column_B": b, "or_equal": or_equal, "mostly": mostly}
    return _e("expect_column_pair_values_a_to_be_greater_than_b", hand, **arguments)


def _repeats(*columns: str) -> str:
    keys, known = ", ".join(columns), " OR ".join(f"{c} IS NOT NULL" for c in columns)
    counts = f"SELECT count(*) AS n FROM t WHERE {known} GROUP BY {keys} HAVING count(*) > 1"
    return f"(SELECT coalesce(sum(n), 0) FROM ({counts}))"


def _unique(column: str) -> Expectation:
    return _e("expect_column_values_to_be_unique", _repeats(column), column=column)


def _compound(*columns: str) -> Expectation:
    return _e("expect_compound_columns_to_be_unique", _repeats(*columns), column_list=list(columns))


def _distinct(column: str) -> Expectation:
    kind = "expect_column_unique_value_count_to_be_between"
    return _e(kind, f"count(DISTINCT {column})", column=column, min_value=1)


ROWS = _e("expect_table_row_count_to_be_between", "count(*)", min_value=1)

# --- A plain table of floats and short texts ---------------------------------------------------------------------

NUMBERS = [f"n{i}" for i in range(10)]
TEXTS = ["account", "currency", "service", "region", "sku", "owner"]
SETS = {
    "currency": ["USD", "EUR", "GBP", "JPY", "CHF"],
    "service": [f"service {i}" for i in range(20)],
    "region": [f"region-{i}" for i in range(12)],
    "owner": [f"team {i}" for i in range(40)],
}


def _picked(values: Sequence[str], name: str) -> str:
    listed = ", ".join(f"'{v}'" for v in values)
    return f"([{listed}])[1 + CAST(floor(random() * {len(values)}) AS INT)] AS {name}"


def _all_in_range(columns: Sequence[str]) -> list[Expectation]:
    return [_between(column, 0, 100, nan=True) for column in columns]


PLAIN = Subject(
    columns={"id": "INT64", **dict.fromkeys(NUMBERS, "FLOAT64"), **dict.fromkeys(TEXTS, "STRING")},
    select=f"SELECT i AS id, {', '.join(f'100 * random() AS {n}' for n in NUMBERS)}, "
    "'acct-' || CAST(100000 + i % 1000 AS VARCHAR) AS account, 'sku-' || CAST(i % 500 AS VARCHAR) AS sku, "
    f"{', '.join(_picked(values, name) for name, values in SETS.items())} FROM range({{rows}}) r(i)",
    suites={
        15: [
            *map(_not_null, ("id", "account", "currency")),
            _not_null("n0", nan=True),
            *_all_in_range(("n0", "n1", "n2")),
            *(_in_set(column, SETS[column]) for column in ("currency", "service")),
            _length("account", 2, 20),
            _number("mean", "avg", "n0"),
            _number("max", "max", "n1"),
            _pair("n0", "n1", or_equal=True, mostly=0.4),
            _unique("id"),
            ROWS,
        ],
        50: [
            *map(_not_null, ("id", *TEXTS[:5])),
            *(_not_null(column, nan=True) for column in NUMBERS),
            *_all_in_range(NUMBERS),
            *(_in_set(column, values) for column, values in SETS.items()),
            *(_length(column, 2, 20) for column in ("account", "currency", "sku", "owner")),
            *(_number("mean", "avg", column) for column in NUMBERS[:4]),
            *(_number("max", "max", column) for column in NUMBERS[:2]),
            *(_number("min", "min", column) for column in NUMBERS[:2]),
            _number("stdev", "stddev_samp", "n5"),
            _pair("n0", "n1", or_equal=True, mostly=0.4),
            _pair("n2", "n3", or_equal=True, mostly=0.4),
            _unique("id"),
            _compound("id", "sku"),
            _distinct("account"),
            ROWS,
            _e("expect_table_column_count_to_equal", "17", value=17),
        ],
    },
)

# --- A cost table: FOCUS columns, money as decimals, and the rules that such a table is held to ------------------

MONEY = ["BilledCost", "EffectiveCost", "ListCost", "ContractedCost"]
CATEGORIES = ["Usage", "Purchase", "Tax", "Credit", "Adjustment"]
FREQUENCIES = ["One-Time", "Recurring", "Usage-Based"]
SERVICES = ["AI and Machine Learning", "Analytics", "Compute", "Databases", "Networking", "Storage", "Other"]
PRICINGS = ["Standard", "Dynamic", "Committed", "Other"]
NO_TEXTS = ["NULL", "null", "None"]
NAMES = ["BillingAccountId", "InvoiceIssuerName", "ProviderName", "PublisherName", "ServiceName"]
PERIODS = ["BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"]
USAGE, OTHER = "ChargeCategory = 'Usage'", "ChargeCategory <> 'Usage'"

_COST_RULES = [
    *map(_not_null, ("BilledCost", "BillingAccountId", "BillingCurrency", "ChargeCategory")),
    _between("BilledCost", 0, 1000),
    _regex("BillingCurrency", "^[A-Z]{3}$"),
    _in_set("ChargeCategory", CATEGORIES),
    _in_set("ServiceCategory", SERVICES),
    _length("ServiceName", 1),
    _in_set("ProviderName", NO_TEXTS, not_=True),
    _pair("ChargePeriodEnd", "ChargePeriodStart", or_equal=False),
    _null("ConsumedUnit", OTHER),
    _number("min", "min", "BilledCost"),
    _unique("x_ChargeId"),
    ROWS,
]
COST = Subject(
    columns={
        **dict.fromkeys([*MONEY, "ConsumedQuantity"], "BIGNUMERIC"),
        **dict.fromkeys(PERIODS, "TIMESTAMP"),
        **dict.fromkeys(
            [*NAMES, "BillingCurrency", "ChargeCategory", "ChargeClass", "ChargeFrequency"], "STRING"
        ),
        **dict.fromkeys(
            ["ConsumedUnit", "PricingCategory", "ServiceCategory", "SkuId", "x_ChargeId"], "STRING"
        ),
    },
    select="SELECT *, CASE WHEN ChargeCategory = 'Usage' THEN BilledCost END AS ConsumedQuantity, "
    "CASE WHEN ChargeCategory = 'Usage' THEN 'tokens' END AS ConsumedUnit FROM (SELECT "
    + ", ".join(f"CAST(floor(random() * 1000000) / 10000 AS DECIMAL(38, 18)) AS {name}" for name in MONEY)
    + ", TIMESTAMPTZ '2026-01-01 00:00:00+00' AS BillingPeriodStart"
    ", TIMESTAMPTZ '2026-02-01 00:00:00+00' AS BillingPeriodEnd"
    ", TIMESTAMPTZ '2026-01-01 00:00:00+00' + to_days(CAST(i % 31 AS INT)) AS ChargePeriodStart"
    ", TIMESTAMPTZ '2026-01-02 00:00:00+00' + to_days(CAST(i % 31 AS INT)) AS ChargePeriodEnd"
    ", 'account-' || CAST(i % 300 AS VARCHAR) AS BillingAccountId, 'Vendor' AS InvoiceIssuerName"
    ", 'Provider' AS ProviderName, 'Publisher' AS PublisherName, 'Service ' || CAST(i % 40 AS VARCHAR) AS ServiceName, "
    + ", ".join(
        (
            _picked(["USD", "EUR", "GBP"], "BillingCurrency"),
            _picked(CATEGORIES, "ChargeCategory"),
            _picked(["Recurring", "One-Time"], "ChargeFrequency"),
            _picked(PRICINGS, "PricingCategory"),
            _picked(SERVICES, "ServiceCategory"),
        )
    )
    + ", CAST(NULL AS VARCHAR) AS ChargeClass, 'sku-' || CAST(i % 500 AS VARCHAR) AS SkuId"
    ", 'charge-' || CAST(i AS VARCHAR) AS x_ChargeId FROM range({rows}) r(i))",
    suites={
        15: _COST_RULES,
        50: [
            *_COST_RULES,
            *map(_not_null, (*MONEY[1:], *PERIODS, *NAMES[1:], "ServiceCategory", "ChargeFrequency")),
            *(_length(column, 1) for column in NAMES[:4]),
            *(_in_set(column, NO_TEXTS, not_=True) for column in ("BillingAccountId", *NAMES[3:])),
            _in_set("ChargeClass", ["Correction"]),
            _in_set("ChargeFrequency", FREQUENCIES),
            _in_set("PricingCategory", PRICINGS),
            _in_set("ChargeFrequency", FREQUENCIES[:2], where="ChargeCategory = 'Purchase'"),
            _pair("BillingPeriodEnd", "BillingPeriodStart", or_equal=False),
            _null("ConsumedQuantity", OTHER),
            _not_null("ConsumedUnit", where=USAGE),
            *(_between(column, 0, 1000) for column in MONEY[1:]),
            _regex("SkuId", "^sku-[0-9]+$"),
            _number("max", "max", "BilledCost"),
            _number("max", "max", "EffectiveCost"),
            _distinct("SkuId"),
            _compound("x_ChargeId", "SkuId"),
        ],
    },
)
SUBJECTS = {"plain": PLAIN, "cost": COST}


def generate(subject: Subject, file: Path, rows: int) -> None:
    """One Parquet file of the subject's columns, in their order."""
    import duckdb

    names = ", ".join(subject.columns)
    duckdb.sql(
        f"COPY (SELECT {names} FROM ({subject.select.format(rows=rows)})) TO '{file}' (FORMAT parquet)"
    )


# --- Who runs -------------------------------------------------------------------------------------------------


def prepare_ours(subject: Subject, file: str, suite: list[Expectation]) -> Callable[[], int]:
    """From the suite as read from YAML to its outcomes; caches are emptied, as a new process would find them."""
    from platform_assets.engine.names import TableName
    from platform_assets.engine.quality.audit import compile_audit, judge
    from platform_assets.engine.quality.suite import parse_suite
    from platform_assets.engine.schema.model import Field, FieldType, TableSchema
    from platform_assets.engine.sql.dialect import DUCKDB_TYPES, to_duckdb

    connection = _loaded(file)
    schema = TableSchema(tuple(Field(name, FieldType(kind)) for name, kind in subject.columns.items()))
    raw = [entry for entry, _ in suite]

    def run() -> int:
        to_duckdb.cache_clear()
        expectations, problems = parse_suite(raw, schema)
        plan = compile_audit(expectations, schema, TableName("main", "t"))
        types = tuple(
            (name, DUCKDB_TYPES[kind] + ("[]" if isinstance(value, tuple) else ""))
            for name, (kind, value) in plan.query.parameters.items()
        )
        values = {name: value for name, (_, value) in plan.query.parameters.items()}
        found = connection.sql(to_duckdb(plan.query.sql, types), params=values).to_arrow_table().to_pylist()
        return sum(outcome.success for outcome in judge(plan, found[0])) - len(problems)

    return run


def prepare_by_hand(subject: Subject, file: str, suite: list[Expectation]) -> Callable[[], int]:
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


def child(who: str, name: str, file: str, count: int, repeat: int) -> None:
    subject = SUBJECTS[name]
    run = PREPARE[who](subject, file, subject.suites[count])
    met = run()
    seconds, cpu = [], []
    for _ in range(repeat):
        began, used = time.perf_counter(), time.process_time()
        run()
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    print(json.dumps({"seconds": min(seconds), "cpu": min(cpu), "met": met}))


def measure(who: str, name: str, file: Path, count: int, repeat: int) -> dict[str, Any]:
    """One process; Great Expectations and Pandera in theirs."""
    if who in PREPARE:
        command = [
            sys.executable,
            "-m",
            __spec__.name,
            "--child",
            who,
            name,
            str(file),
            str(count),
            str(repeat),
        ]
        text = ""
    else:
        command = [str(PYTHON), str(HERE / "quality_side.py"), who, str(file), str(repeat)]
        text = json.dumps([entry for entry, _ in SUBJECTS[name].suites[count]])
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1][:200]}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


OTHERS = ("ge pandas", "ge duckdb", "pandera polars")
HEAD = ("table", "rows", "expectations", "who", "wall", "÷ ours", "cpu", "÷ ours", "met", "goal")
GOALS = {
    (15, "ge pandas"): "÷ ours ≥ 8",
    (15, "ge duckdb"): "÷ ours ≥ 8",
    (50, "ge pandas"): "÷ ours ≥ 20",
    (50, "ge duckdb"): "÷ ours ≥ 20",
    (15, "by hand"): "÷ ours ≥ 0.77",  # ours is at most 1.3 times the hand-written scan
    (50, "by hand"): "÷ ours ≥ 0.77",
}


def compare(name: str, file: Path, rows: int, count: int, repeat: int, others: Sequence[str]) -> None:
    """One line of the table for everybody; ``÷ ours`` above 1 is slower than ours."""
    found = {who: measure(who, name, file, count, repeat) for who in (*PREPARE, *others)}
    ours = found["ours"]
    if "error" in ours:
        raise SystemExit(f"ours: {ours['error']}")
    for who, answer in found.items():
        if "error" in answer:
            told = [answer["error"]]
        else:
            wall, cpu = answer["seconds"], answer["cpu"]
            ratios = wall / ours["seconds"], cpu / ours["cpu"]
            told = [
                f"{wall:.3f} s",
                f"{ratios[0]:.2f}",
                f"{cpu:.3f} s",
                f"{ratios[1]:.2f}",
                str(answer["met"]),
                GOALS.get((count, who), ""),
            ]
        print(f"| {' | '.join([name, f'{rows:,}', str(count), who, *told])} |", flush=True)


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "--child":
        who, name, file, count, repeat = sys.argv[2:]
        child(who, name, file, int(count), int(repeat))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=float, default=[1e6])
    parser.add_argument("--tables", nargs="+", choices=SUBJECTS, default=list(SUBJECTS))
    parser.add_argument("--suites", nargs="+", type=int, choices=(15, 50), default=[15, 50])
    parser.add_argument("--others", nargs="+", choices=OTHERS, default=list(OTHERS))
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    install()
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.tables:
            for rows in map(int, options.sizes):
                file = Path(folder) / f"{name}-{rows}.parquet"
                generate(SUBJECTS[name], file, rows)
                for count in options.suites:
                    compare(name, file, rows, count, options.repeat if rows < 5e6 else 1, options.others)
                file.unlink()


if __name__ == "__main__":
    main()
