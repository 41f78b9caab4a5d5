"""Runs inside Great Expectations' environment: suites in, results out, on pandas, SQLite or DuckDB.

Question (JSON on stdin): ``{"tables": {name: parquet}, "suites": {name: [{"type": …, "kwargs": …}]},
"backends": […]}``. Answer: ``{backend: {name: [{"success": …, "result": …, "error": …}]}}``.
Knows nothing of the platform.
"""

import contextlib
import datetime
import decimal
import io
import json
import math
import sys
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
import duckdb  # noqa: E402
import great_expectations as gx  # noqa: E402
import pandas as pd  # noqa: E402
import sqlalchemy as sa  # noqa: E402
from great_expectations.execution_engine import sqlalchemy_execution_engine  # noqa: E402
from great_expectations.expectations.registry import get_expectation_impl  # noqa: E402


class _DuckDb(str):
    value = "duckdb"


# GE reads cursors of connections that it has given back; DuckDB's are empty then. SQLite has the same trait, and GE
# keeps its connection, so DuckDB is listed beside it.
sqlalchemy_execution_engine._PERSISTED_CONNECTION_DIALECTS = (
    *sqlalchemy_execution_engine._PERSISTED_CONNECTION_DIALECTS,
    _DuckDb("duckdb"),
)


def typed(value):
    """Dates and moments come as ``{"$date": …}`` and ``{"$moment": …}``."""
    if isinstance(value, dict) and set(value) == {"$date"}:
        return datetime.date.fromisoformat(value["$date"])
    if isinstance(value, dict) and set(value) == {"$moment"}:
        return datetime.datetime.fromisoformat(value["$moment"])
    if isinstance(value, dict):
        return {k: typed(v) for k, v in value.items()}
    return [typed(v) for v in value] if isinstance(value, list) else value


def plain(value):
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if hasattr(value, "item"):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def batches(context, backend, tables, folder):
    """Name → batch of each table in one backend."""
    if backend == "pandas":
        source = context.data_sources.add_pandas("pandas")
        for name, parquet in tables.items():
            asset = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe(name)
            yield name, asset.get_batch({"dataframe": pd.read_parquet(parquet)})
        return
    url = fill(backend, tables, folder)
    source = context.data_sources.add_sql(backend, connection_string=url)
    for name in tables:
        yield (
            name,
            source.add_table_asset(name, table_name=name).add_batch_definition_whole_table(name).get_batch(),
        )


def fill(backend, tables, folder):
    file = Path(folder) / f"tables.{backend}"
    url = f"{backend}:///{file}"
    if backend == "duckdb":
        with duckdb.connect(str(file)) as connection:
            for name, parquet in tables.items():
                connection.execute(f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{parquet}')")
        return url
    engine = sa.create_engine(url)
    for name, parquet in tables.items():
        frame = pd.read_parquet(parquet)
        for column in frame.columns:  # SQLite has neither decimals nor time zones
            if any(isinstance(value, decimal.Decimal) for value in frame[column]):
                frame[column] = frame[column].astype(float)
            elif isinstance(frame[column].dtype, pd.DatetimeTZDtype):
                frame[column] = frame[column].dt.tz_localize(None)
        frame.to_sql(name, engine, index=False)
    engine.dispose()
    return url


def judged(batch, entries):
    """One answer per entry. Those that GE will not even build are errors of their own."""
    built, answers = [], [None] * len(entries)
    for index, entry in enumerate(entries):
        try:
            expectation = get_expectation_impl(entry["type"])(**typed(entry["kwargs"]), meta={"index": index})
            built.append(expectation)
        except Exception as error:
            answers[index] = {
                "success": None,
                "result": {},
                "error": f"{type(error).__name__}: {error}"[:300],
            }
    suite = gx.ExpectationSuite("suite", expectations=built)
    for found in batch.validate(suite, result_format="BASIC").results:
        answers[found.expectation_config.meta["index"]] = answer(found)
    return answers


def answer(found):
    raised = found.exception_info or {}
    messages = [
        v.get("exception_message")
        for v in raised.values()
        if isinstance(v, dict) and v.get("raised_exception")
    ]
    if raised.get("raised_exception") is True:
        messages.append(raised.get("exception_message"))
    return {
        "success": None if messages else bool(found.success),
        "result": plain(found.result),
        "error": str(messages[0])[:300] if messages else "",
    }


def main():
    question = json.load(sys.stdin)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    answers = {}
    with tempfile.TemporaryDirectory() as folder:
        for backend in question["backends"]:
            answers[backend] = {
                name: judged(batch, question["suites"][name])
                for name, batch in batches(context, backend, question["tables"], folder)
            }
    return answers


with contextlib.redirect_stdout(io.StringIO()):
    found = main()
print(json.dumps(found))
