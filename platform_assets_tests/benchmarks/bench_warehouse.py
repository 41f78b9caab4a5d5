"""What the embedded warehouse costs: an operation, a slice of 100,000 rows, and waiting for another process.

python -m platform_assets_tests.benchmarks.bench_warehouse
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from platform_assets.engine.names import TableName
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import Partitioning, Slice, TableSpec
from platform_assets.engine.schema.reading import read_schema, with_standard_columns
from platform_assets.engine.sql.binding import bind_query
from platform_assets.ports import SliceWrite
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse

TENANT, DAY, ROWS = "acme1281", date(2026, 1, 31), 100_000
SCHEMA = with_standard_columns(
    read_schema(
        [
            {"name": "project_id", "type": "STRING"},
            {"name": "line_item", "type": "STRING"},
            {"name": "amount_value", "type": "BIGNUMERIC"},
            {"name": "amount_currency", "type": "STRING"},
            {"name": "quantity", "type": "INT64"},
        ]
    ),
    "ingest",
)
SPEC = TableSpec(TableName("raw_openai", "costs"), SCHEMA, Partitioning("ingestion_date"))
WRITE = Slice((("ingestion_date", DAY), ("x_pipeline", "openai_costs"), ("x_credential", "default")))


def rows(count: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {
                "project_id": f"proj_{n % 97}",
                "line_item": f"model-{n % 13}, input",
                "amount_value": Decimal(n) / 1_000_000,
                "amount_currency": "USD",
                "quantity": n,
                "ingestion_date": DAY,
                "ingestion_timestamp": datetime(2026, 2, 1, tzinfo=UTC),
                "pipeline_logging_id": "run",
                "x_tenant": TENANT,
                "x_pipeline": "openai_costs",
                "x_credential": "default",
                "x_run_date": DAY,
            }
            for n in range(count)
        ],
        schema=arrow_schema(SCHEMA),
    )


def median_ms(call: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e3


@contextmanager
def opened(folder: Path) -> Iterator[DuckDBWarehouse]:
    warehouse = DuckDBWarehouse(DuckDBSettings(folder=folder))
    yield warehouse
    warehouse.close()


def operations(warehouse: DuckDBWarehouse) -> None:
    start = time.perf_counter()
    warehouse.ensure_table(TENANT, SPEC)
    print(
        f"first operation of a tenant (instance, file, table)  {(time.perf_counter() - start) * 1e3:8.1f} ms"
    )
    query = bind_query("SELECT COUNT(*) AS n FROM raw_openai.costs", TENANT)
    cases: dict[str, Callable[[], object]] = {
        "describe": lambda: warehouse.describe(TENANT, SPEC.name),
        "ensure_table, nothing to do": lambda: warehouse.ensure_table(TENANT, SPEC),
        "query": lambda: warehouse.query(TENANT, query),
        "create_staging": lambda: warehouse.create_staging(TENANT, SPEC, "t"),
    }
    for name, call in cases.items():
        print(f"{name:<52} {median_ms(call, 50):8.1f} ms")


def slice_of(warehouse: DuckDBWarehouse, batch: pa.RecordBatch) -> None:
    staging = warehouse.create_staging(TENANT, SPEC, "t")
    write = SliceWrite(SPEC, staging, "replace", WRITE)

    def load() -> None:
        warehouse.create_staging(TENANT, SPEC, "t")
        warehouse.load(TENANT, staging, [batch])

    print(f"create_staging + load {batch.num_rows:>7} rows                    {median_ms(load, 5):8.1f} ms")
    published = median_ms(lambda: warehouse.publish(TENANT, write), 5)
    print(f"publish (replace) {batch.num_rows:>7} rows                        {published:8.1f} ms")


HAMMER = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from platform_assets_tests.benchmarks.bench_warehouse import *
with opened(Path(sys.argv[1])) as warehouse, ThreadPoolExecutor(4) as pool:
    end = time.monotonic() + float(sys.argv[2])
    batch = rows(2000)
    def work(n):
        while time.monotonic() < end:
            staging = warehouse.create_staging(TENANT, SPEC, f"h{n}")
            warehouse.load(TENANT, staging, [batch])
            warehouse.publish(TENANT, SliceWrite(SPEC, staging, "replace", WRITE))
    print("busy", flush=True)
    list(pool.map(work, range(4)))
"""


def waiting(folder: Path) -> None:
    """How long the UI's process waits while a run's four threads never stop writing the same tenant."""
    with subprocess.Popen(
        [sys.executable, "-c", HAMMER, str(folder), "10"], stdout=subprocess.PIPE, text=True
    ) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        taken = []
        with opened(folder) as warehouse:
            end = time.monotonic() + 8
            while time.monotonic() < end:
                start = time.perf_counter()
                warehouse.describe(TENANT, SPEC.name)
                taken.append((time.perf_counter() - start) * 1e3)
                time.sleep(0.01)
    taken.sort()
    print(
        f"an operation beside a process that never pauses: median {statistics.median(taken):.0f} ms, "
        f"95 % {taken[int(len(taken) * 0.95)]:.0f} ms, longest {taken[-1]:.0f} ms ({len(taken)} operations)"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name, opened(Path(name)) as warehouse:
        operations(warehouse)
        slice_of(warehouse, rows(1_000))
        slice_of(warehouse, rows(ROWS))
        waiting(Path(name))


if __name__ == "__main__":
    main()
