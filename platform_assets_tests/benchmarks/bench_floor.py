"""The floor's two goals: what definitions cost to import, and rows from HTTP pages to committed warehouse rows.

    python -m platform_assets_tests.benchmarks.bench_floor [--rows 200000] [--page-rows 10000] [--repeat 3]

Import: ``import dagster`` and ``import platform_assets.definitions`` in processes of their own, in turns; the goal is a
ratio of at most 1.3. The cache of checked SQL is warm, as it is in every process but a deployment's first.

Pull: one slice of ``raw_openai.costs`` from the bundled provider API, staged, audited by its whole suite and published
into DuckDB, against dlt loading the same pages from the same server into DuckDB, replacing by merge on the same
day key. The goal is five times dlt's rows per second. Both sides run in processes of their own, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

DAY = date(2026, 11, 2)
TENANT = "acme1281"


# --- Import -------------------------------------------------------------------------------------------------------


def import_seconds(statement: str, home: Path) -> float:
    began = time.perf_counter()
    environment = os.environ | {"PLATFORM_HOME": str(home), "PLATFORM_DEPLOYMENT": "local"}
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
    return time.perf_counter() - began


def bench_import(repeat: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        statements = ("import dagster", "import platform_assets.definitions")
        for statement in statements:  # warms the page cache, the byte code and the cache of checked SQL
            import_seconds(statement, home)
        seconds = {s: [] for s in statements}
        for _ in range(repeat):
            for statement in statements:
                seconds[statement].append(import_seconds(statement, home))
    bare, ours = (statistics.median(seconds[s]) for s in statements)
    print(f"import dagster                      {bare:6.2f} s (median of {repeat})")
    print(f"import platform_assets.definitions  {ours:6.2f} s")
    print(f"ratio                               {ours / bare:6.2f}   (goal: at most 1.30)")


# --- Pull ---------------------------------------------------------------------------------------------------------


def pull_ours(url: str, folder: Path) -> int:
    """Seconds are taken by the caller. Returns the rows committed."""
    os.environ |= {
        "PLATFORM_HOME": str(folder),
        "PLATFORM_PROVIDER_API": url,
        "OPENAI_ADMIN_KEY": "demo-acme1281",
    }
    from platform_assets.assets.filling import Doors
    from platform_assets.assets.graph import build_nodes
    from platform_assets.assets.keys import SliceKey
    from platform_assets.assets.slice_runner import RunContext, SliceRunner
    from platform_assets.assets.surroundings import Surroundings
    from platform_assets.config import load
    from platform_assets.engine.names import TableName
    from platform_assets.ports import Secret
    from platform_assets.resources.bindings import create
    from platform_assets.settings import read_settings

    class Tokens:
        def get(self, tenant: str, name: str) -> Secret:
            return Secret(f"demo-{tenant}")

    settings = read_settings()
    configuration = load(
        settings.config_root, deployment="local", environment=settings.environment, today=DAY
    )
    ports = configuration.deployment.resources()
    made = {n: create(n, ports[n].kind, ports[n].settings) for n in ("warehouse", "http")}
    doors = Doors(made["warehouse"], Tokens(), made["http"], None, None)  # type: ignore[arg-type]
    costs = TableName("raw_openai", "costs")
    node = next(node for node in build_nodes(configuration.pipelines) if node.table == costs)
    run = RunContext("bench", lambda: datetime.now(UTC), lambda _: None)
    tenants, around = configuration.tenants, Surroundings({})
    runner = SliceRunner(doors, run, tenants, configuration.providers, frozenset({costs}), around)
    began = time.perf_counter()
    [outcome] = runner.run_node(node, [SliceKey(DAY, TENANT)], {})
    report(began, sum(part.rows_inserted for part in outcome.parts))
    return 0 if not outcome.reason else 1


def pull_dlt(url: str, folder: Path) -> int:
    import dlt
    from dlt.sources.helpers.rest_client import RESTClient
    from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

    client = RESTClient(
        base_url=url.removesuffix("/v1"),
        auth=BearerTokenAuth(f"demo-{TENANT}"),
        paginator=JSONResponseCursorPaginator(cursor_path="next_page", cursor_param="page"),
        data_selector="data[*].results[*]",
    )
    start = int(datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp())
    params = {"start_time": start, "end_time": start + 86_400, "limit": 180, "group_by[]": "line_item"}

    @dlt.resource(name="costs", write_disposition="merge", merge_key="ingestion_date")
    def costs():  # type: ignore[no-untyped-def]
        for page in client.paginate("/v1/organization/costs", params=params):
            yield [{**record, "ingestion_date": DAY} for record in page]

    os.environ["DLT_DATA_DIR"] = str(folder)
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.duckdb(str(folder / "dlt.duckdb")),
        dataset_name="raw",
        pipelines_dir=str(folder),
    )
    began = time.perf_counter()
    pipeline.run(costs())
    with pipeline.sql_client() as sql:
        rows = sql.execute_sql("SELECT count(*) FROM costs")[0][0]
    report(began, rows)
    return 0


def report(began: float, rows: int) -> None:
    print(json.dumps({"seconds": time.perf_counter() - began, "rows": rows}))


SIDES = {"ours": pull_ours, "dlt": pull_dlt}


def measure(side: str, url: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __spec__.name, "--side", side, "--url", url, "--folder", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def bench_pull(rows: int, page_rows: int, repeat: int) -> None:
    from platform_assets.demo.provider_api import Bulk, ProviderApi

    speeds: dict[str, list[float]] = {side: [] for side in SIDES}
    with ProviderApi(bulk=Bulk(rows, page_rows)) as api:
        for _ in range(repeat):
            for side in SIDES:
                found = measure(side, api.url)
                assert found["rows"] == rows, f"{side} committed {found['rows']} of {rows} rows"
                speeds[side].append(rows / found["seconds"])
    ours, dlt = (statistics.median(speeds[side]) for side in SIDES)
    print(f"{rows} rows in pages of {page_rows}, median of {repeat}")
    print(f"ours, staged, audited, published  {ours:12,.0f} rows/s")
    print(f"dlt, merge                        {dlt:12,.0f} rows/s")
    print(f"ratio                             {ours / dlt:12.1f}   (goal: at least 5)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--page-rows", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--side", choices=sorted(SIDES))
    parser.add_argument("--url")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.side:
        return SIDES[options.side](options.url, options.folder)
    bench_import(max(options.repeat, 5))
    bench_pull(options.rows, options.page_rows, options.repeat)
    return 0


if __name__ == "__main__":
    sys.exit(main())
