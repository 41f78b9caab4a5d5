"""Runs inside the environment of Great Expectations and Pandera: one suite on one file, timed. See ``bench_quality``."""

import contextlib
import io
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")


def ge_suite(entries):
    import great_expectations as gx
    from great_expectations.expectations.registry import get_expectation_impl

    built = [get_expectation_impl(e["type"])(**{k: v for k, v in e.items() if k != "type"}) for e in entries]
    return gx.ExpectationSuite("suite", expectations=built)


def ge_context():
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    return context


def ge_run(batch_of, entries):
    """A batch is made anew each time: it remembers its metrics."""

    def run():
        found = batch_of().validate(ge_suite(entries), result_format="BASIC")
        return sum(bool(r.success) for r in found.results)

    return run


def prepare_ge_pandas(file, entries):
    import pandas as pd

    frame = pd.read_parquet(file)
    definition = (
        ge_context()
        .data_sources.add_pandas("p")
        .add_dataframe_asset("t")
        .add_batch_definition_whole_dataframe("t")
    )
    return ge_run(lambda: definition.get_batch({"dataframe": frame}), entries)


def prepare_ge_duckdb(file, entries):
    import duckdb
    from great_expectations.execution_engine import sqlalchemy_execution_engine as engine

    class _DuckDb(str):
        value = "duckdb"

    # GE reads cursors of connections that it has given back; DuckDB's are empty then.
    engine._PERSISTED_CONNECTION_DIALECTS = (*engine._PERSISTED_CONNECTION_DIALECTS, _DuckDb("duckdb"))
    database = Path(tempfile.mkdtemp()) / "t.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT * FROM read_parquet('{file}')")
    source = ge_context().data_sources.add_sql("d", connection_string=f"duckdb:///{database}")
    definition = source.add_table_asset("t", table_name="t").add_batch_definition_whole_table("t")
    return ge_run(definition.get_batch, entries)


def prepare_pandera(file, entries):
    import pandera.polars as pa
    import polars as pl

    frame = pl.read_parquet(file)

    def run():
        pandera_schema(pa, pl, entries, frame.columns).validate(frame, lazy=True)
        return len(entries)

    return run


def pandera_schema(pa, pl, entries, names):
    checks = {name: [] for name in names}
    nullable, unique, whole = dict.fromkeys(names, True), [], []
    for entry in entries:
        kind, column = entry["type"], entry.get("column")
        low, high = entry.get("min_value"), entry.get("max_value")
        if kind == "expect_column_values_to_not_be_null":
            nullable[column] = False
        elif kind == "expect_column_values_to_be_between":
            checks[column].append(pa.Check.in_range(low, high))
        elif kind == "expect_column_values_to_be_in_set":
            checks[column].append(pa.Check.isin(entry["value_set"]))
        elif kind == "expect_column_value_lengths_to_be_between":
            checks[column].append(pa.Check.str_length(low, high))
        elif kind == "expect_column_values_to_be_unique":
            unique.append(column)
        else:
            whole.append(pa.Check(of_table(pl, entry)))
    columns = {
        name: pa.Column(checks=checks[name], nullable=nullable[name], unique=name in unique) for name in names
    }
    compound = next((e["column_list"] for e in entries if "column_list" in e), None)
    return pa.DataFrameSchema(columns, checks=whole, unique=compound)


def of_table(pl, entry):
    """What Pandera has no word for, as a check of its own on the lazy frame."""
    kind, column = entry["type"], entry.get("column")
    low, high = entry.get("min_value", float("-inf")), entry.get("max_value", float("inf"))
    number = {
        "expect_column_mean_to_be_between": lambda: pl.col(column).mean(),
        "expect_column_max_to_be_between": lambda: pl.col(column).max(),
        "expect_column_min_to_be_between": lambda: pl.col(column).min(),
        "expect_column_stdev_to_be_between": lambda: pl.col(column).std(),
        "expect_column_unique_value_count_to_be_between": lambda: pl.col(column).n_unique(),
        "expect_table_row_count_to_be_between": lambda: pl.len(),
        "expect_column_pair_values_a_to_be_greater_than_b": lambda: (
            pl.col(entry["column_A"]) >= pl.col(entry["column_B"])
        ).mean(),
    }.get(kind)
    if number is None:
        return lambda data: True
    if "column_A" in entry:
        low = entry["mostly"]
    return lambda data: low <= data.lazyframe.select(number()).collect().item() <= high


PREPARE = {"ge pandas": prepare_ge_pandas, "ge duckdb": prepare_ge_duckdb, "pandera polars": prepare_pandera}


def main():
    who, file, repeat = sys.argv[1:]
    run = PREPARE[who](file, json.load(sys.stdin))
    seconds = []
    for _ in range(int(repeat)):
        began = time.perf_counter()
        met = run()
        seconds.append(time.perf_counter() - began)
    return {"seconds": min(seconds), "met": met}


with contextlib.redirect_stdout(io.StringIO()):
    found = main()
print(json.dumps(found))
