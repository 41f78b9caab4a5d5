"""A day of 1,000,000 rows of Google's billing export: raw → silver → gold, against the same SQL by hand; the load
against dlt and against a plain copy.

    python -m platform_assets_tests.benchmarks.bench_costs [rows]

By hand means: the same statements, translated the same way, one DuckDB file, no staging, no audit, no transaction per
slice, no history. What the platform adds on top of that is what the ratio shows. dlt (extra ``bench``) loads the same
flat columns from the same Arrow batches; the plain copy is DuckDB's own ``CREATE TABLE AS SELECT`` from the attached
export, without any conversion or check. CPU seconds are of all threads, and less moved by a busy machine than time.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from platform_assets.engine.ingestion.pull import PullStats
from platform_assets.engine.ingestion.tabular import Openers, pull_columns
from platform_assets.engine.ingestion.variables import slice_variables
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.sql.binding import bind
from platform_assets.engine.sql.dialect import DUCKDB_MACROS, to_duckdb
from platform_assets.resources.query_sources.duckdb import DuckDBSources, DuckDBSourcesSettings
from platform_assets_tests.pipelines.bench import Bench, step

DAY = date(2026, 11, 1)
TABLE = "acme.billing.gcp_billing_export_v1_012345_ABCDEF_678901"
SOURCE = """
CREATE SCHEMA billing;
CREATE TABLE billing.gcp_billing_export_v1_012345_ABCDEF_678901 AS
SELECT
  TIMESTAMPTZ '2026-11-01 00:00:00Z' AS _PARTITIONTIME,
  '01ABCD-234EFG-567HIJ' AS billing_account_id,
  {'month': '202610', 'publisher_type': 'GOOGLE'} AS invoice,
  CASE WHEN i % 1000 = 0 THEN 'tax' WHEN i % 500 = 1 THEN 'adjustment' ELSE 'regular' END AS cost_type,
  {'id': 'S' || i % 40, 'description': CASE i % 4 WHEN 0 THEN 'Compute Engine' WHEN 1 THEN 'BigQuery'
    WHEN 2 THEN 'Cloud Storage' ELSE 'Service ' || i % 40 END} AS service,
  {'id': 'K' || i % 900, 'description': 'Sku number ' || i % 900} AS sku,
  TIMESTAMPTZ '2026-10-31 00:00:00Z' + INTERVAL (i % 24) HOUR AS usage_start_time,
  TIMESTAMPTZ '2026-10-31 01:00:00Z' + INTERVAL (i % 24) HOUR AS usage_end_time,
  {'id': 'project-' || i % 60, 'number': i::VARCHAR, 'name': 'Project ' || i % 60,
    'labels': [{'key': 'env', 'value': 'prod'}]} AS project,
  [{'key': 'team', 'value': 'team-' || i % 25}, {'key': 'cost_center', 'value': 'cc-' || i % 9}] AS labels,
  [{'key': 'machine', 'value': 'n1'}] AS system_labels,
  {'location': 'us-central1', 'country': 'US', 'region': 'us-central1', 'zone': 'us-central1-a'} AS location,
  {'name': 'vm-' || i, 'global_name': '//compute/vm-' || i} AS resource,
  'Google' AS seller_name,
  TIMESTAMPTZ '2026-11-01 03:00:00Z' AS export_time,
  (i % 9973) / 997.0::DOUBLE AS cost,
  (i % 9973) / 990.0::DOUBLE AS cost_at_list,
  'EUR' AS currency,
  0.9213::DOUBLE AS currency_conversion_rate,
  {'amount': 3600.0::DOUBLE, 'unit': 'seconds', 'amount_in_pricing_units': 1.0::DOUBLE,
    'pricing_unit': 'hour'} AS usage,
  CASE WHEN i % 3 = 0 THEN [{'id': '', 'full_name': 'S', 'type': 'SUSTAINED_USAGE_DISCOUNT', 'name': 's',
    'amount': -0.01::DOUBLE}] ELSE [] END AS credits
FROM range($rows) AS r(i)
"""


class Took(NamedTuple):
    """Seconds of time, and of CPU in all threads."""

    wall: float
    cpu: float

    def __add__(self, other: Any) -> Took:
        return Took(self.wall + other.wall, self.cpu + other.cpu)


Times = dict[str, Took]


def timed(what: str, work: Callable[[], Any], times: Times) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    times[what] = Took(time.perf_counter() - wall, time.process_time() - cpu)


def ours(folder: Path) -> Times:
    bench, times = Bench(folder), Times()
    timed(
        "load",
        lambda: bench.run("gcp_billing", "billing_export", DAY, billing_export_table=TABLE),
        times,
    )
    timed("silver", lambda: bench.run("gcp_billing", "to_focus", DAY), times)
    timed("gold", lambda: bench.run("cost_reporting", "daily_spend", DAY), times)
    return times


def batches(folder: Path, bench: Bench) -> Any:
    """The export's rows in the raw table's columns, converted exactly: both sides load the same."""
    resolved = step("gcp_billing", "billing_export")
    sources = DuckDBSources(DuckDBSourcesSettings(folder=str(folder)))
    openers = Openers(lambda: sources.open({}, None), lambda _: None, lambda _: None)
    variables = slice_variables(
        DAY, tenant="acme1281", credential="default", parameters={"billing_export_table": TABLE}
    )
    job = bench._job(resolved, DAY, "default", {})
    schema = resolved.table.schema
    return arrow_schema(schema), pull_columns(
        resolved.spec.source, resolved.transform, openers, variables, schema, job.standard, PullStats()
    )


def by_hand(folder: Path) -> Times:
    bench, times = Bench(folder / "unused"), Times()
    connection = duckdb.connect(str(folder / "by_hand.duckdb"))
    connection.execute("SET TimeZone = 'UTC'")
    for macro in DUCKDB_MACROS:
        connection.execute(macro)

    def load() -> None:
        schema, stream = batches(folder, bench)
        reader = pa.RecordBatchReader.from_batches(schema, stream)
        connection.execute("CREATE SCHEMA acme1281_raw_gcp")
        connection.register("incoming", reader)
        connection.execute("CREATE TABLE acme1281_raw_gcp.billing_export AS SELECT * FROM incoming")
        connection.unregister("incoming")

    def transform(pipeline: str, name: str, schema: str, table: str) -> None:
        query = step(pipeline, name).transform
        values = bench_parameters()
        bound = bind(query, "acme1281", {n: values[n] for n in query.parameters})
        sql, given = to_duckdb(bound.sql), {n: value for n, (_, value) in bound.parameters.items()}
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        stamps = "DATE '2026-11-01' AS x_run_date, 'gcp_billing' AS x_pipeline"
        connection.execute(f"CREATE TABLE {schema}.{table} AS SELECT *, {stamps} FROM ({sql})", given)

    load()
    timed(
        "silver", lambda: transform("gcp_billing", "to_focus", "acme1281_silver_cost", "focus_partial"), times
    )
    columns = ", ".join(
        f'NULL::VARCHAR AS "{name}"'
        for name in ("x_Model", "SubAccountName", "x_Team", "x_CostCenter")
        if name
        not in {c[0] for c in connection.execute("DESCRIBE acme1281_silver_cost.focus_partial").fetchall()}
    )
    connection.execute(
        "CREATE VIEW acme1281_silver_cost.focus_costs AS SELECT *"
        f"{', ' + columns if columns else ''} FROM acme1281_silver_cost.focus_partial"
    )
    timed(
        "gold",
        lambda: transform("cost_reporting", "daily_spend", "acme1281_gold_reporting", "daily_spend"),
        times,
    )
    connection.close()
    return times


def plain_copy(folder: Path) -> Took:
    """DuckDB's own copy of the export, types as they come."""
    times = Times()
    with duckdb.connect(str(folder / "copy.duckdb")) as connection:
        connection.execute(f"ATTACH '{folder / 'acme.duckdb'}' AS origin (READ_ONLY)")
        _, _, table = TABLE.split(".")
        copy = f"CREATE TABLE billing_export AS SELECT * FROM origin.billing.{table}"
        timed("load", lambda: connection.execute(copy), times)
    return times["load"]


def bench_parameters() -> dict[str, Any]:
    from platform_assets.engine.schema.model import FieldType

    return {"run_date": (FieldType.DATE, DAY)}


def with_dlt(folder: Path) -> Took | None:
    try:
        import dlt
    except ImportError:
        return None
    schema, stream = batches(folder, Bench(folder / "unused"))
    flat = [f.name for f in schema if not pa.types.is_nested(f.type)]
    pipeline = dlt.pipeline(
        "billing",
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.duckdb(str(folder / "dlt.duckdb")),
        dataset_name="raw",
    )
    times = Times()
    flat_batches = (b.select(flat) for b in stream)
    timed(
        "load",
        lambda: pipeline.run(flat_batches, table_name="billing_export", write_disposition="replace"),
        times,
    )
    return times["load"]


def told(what: str, mine: Took, other: Took, rows: int, goal: str = "") -> str:
    ratios = f"{mine.wall / other.wall:>7.2f}{mine.cpu / other.cpu:>7.2f}"
    return f"{what:<34}{mine.wall:>9.2f}s{other.wall:>9.2f}s{ratios}{rows / mine.wall:>12,.0f}  {goal}"


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with duckdb.connect(str(folder / "acme.duckdb")) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for statement in SOURCE.split(";"):
                connection.execute(statement, {"rows": rows} if "$rows" in statement else None)
        to_duckdb("SELECT 1")  # imports are not what is measured
        hand, mine = by_hand(folder), ours(folder)
        print(f"{rows:,} rows                       platform     other   time    CPU      rows/s")
        for part in ("silver", "gold"):
            print(told(f"{part}, by hand", mine[part], hand[part], rows))
        both = [Took(0, 0) + side["silver"] + side["gold"] for side in (mine, hand)]
        print(told("raw → silver → gold, by hand", *both, rows, goal="goal ≤ 1.3"))
        if dlt_took := with_dlt(folder):
            print(told("load, dlt (flat columns only)", mine["load"], dlt_took, rows))
        print(told("load, plain copy without checks", mine["load"], plain_copy(folder), rows))
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
