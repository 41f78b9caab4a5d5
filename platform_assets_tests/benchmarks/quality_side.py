"""Runs where Great Expectations and Pandera are installed: one suite on one file, timed. See ``bench_quality``."""

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

    built = [get_expectation_impl(e["type"])(**ge_arguments(e)) for e in entries]
    return gx.ExpectationSuite("suite", expectations=built)


def ge_arguments(entry):
    """Its own form of a row condition: ``col("x") == "y"``."""
    arguments = {key: value for key, value in entry.items() if key != "type"}
    if "row_condition" in arguments:
        column, sign, value = arguments["row_condition"].split(" ", 2)
        own = {"=": "==", "<>": "!="}[sign]
        arguments["row_condition"] = f'col("{column}") {own} {value}'
        arguments["condition_parser"] = "great_expectations"
    return arguments


def ge_context():
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    return context


def ge_run(batch_of, entries):
    """A batch is made anew each time: it remembers its metrics."""

    def run():
        found = batch_of().validate(ge_suite(entries), result_format="BASIC")
        return sum(bool(result.success) for result in found.results)

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
        if "row_condition" in entry:
            whole.append(pa.Check(of_rows(pl, entry)))
        elif kind == "expect_column_values_to_not_be_null":
            nullable[column] = False
        elif kind == "expect_column_values_to_be_between":
            checks[column].append(pa.Check.in_range(low, high))
        elif kind == "expect_column_values_to_be_in_set":
            checks[column].append(pa.Check.isin(entry["value_set"]))
        elif kind == "expect_column_values_to_not_be_in_set":
            checks[column].append(pa.Check.notin(entry["value_set"]))
        elif kind == "expect_column_values_to_match_regex":
            checks[column].append(pa.Check.str_matches(entry["regex"]))
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


def of_rows(pl, entry):
    """An expectation under a row condition, as a check of its own."""
    column, sign, value = entry["row_condition"].split(" ", 2)
    named, wanted = pl.col(column), value.strip("'")
    where = named == wanted if sign == "=" else named != wanted
    subject = pl.col(entry["column"])
    good = {
        "expect_column_values_to_be_null": subject.is_null(),
        "expect_column_values_to_not_be_null": subject.is_not_null(),
        "expect_column_values_to_be_in_set": subject.is_in(entry.get("value_set", [])),
    }[entry["type"]]
    return lambda data: data.lazyframe.filter(where).select(good.all()).collect().item()


def of_table(pl, entry):
    """What Pandera has no word for, as a check of its own on the lazy frame."""
    kind, column = entry["type"], entry.get("column")
    low, high = entry.get("min_value", float("-inf")), entry.get("max_value", float("inf"))
    subject = pl.col(column or entry.get("column_A", ""))
    number = {
        "expect_column_sum_to_be_between": subject.sum(),
        "expect_column_mean_to_be_between": subject.mean(),
        "expect_column_max_to_be_between": subject.max(),
        "expect_column_min_to_be_between": subject.min(),
        "expect_column_stdev_to_be_between": subject.std(),
        "expect_column_unique_value_count_to_be_between": subject.n_unique(),
        "expect_table_row_count_to_be_between": pl.len(),
        "expect_column_pair_values_a_to_be_greater_than_b": (
            subject >= pl.col(entry.get("column_B", ""))
        ).mean(),
    }.get(kind)
    if number is None:
        return lambda data: True
    if "column_A" in entry:
        low, high = entry["mostly"], 1
    return lambda data: low <= data.lazyframe.select(number).collect().item() <= high


ENOUGH_SECONDS = 5  # who takes longer is not asked again
PREPARE = {"ge pandas": prepare_ge_pandas, "ge duckdb": prepare_ge_duckdb, "pandera polars": prepare_pandera}


def main():
    who, file, repeat = sys.argv[1:]
    run = PREPARE[who](file, json.load(sys.stdin))
    seconds, cpu = [], []
    while len(seconds) < int(repeat) and sum(seconds) < ENOUGH_SECONDS:
        began, used = time.perf_counter(), time.process_time()
        met = run()
        seconds.append(time.perf_counter() - began)
        cpu.append(time.process_time() - used)
    return {"seconds": min(seconds), "cpu": min(cpu), "met": met}


with contextlib.redirect_stdout(io.StringIO()):
    found = main()
print(json.dumps(found))
