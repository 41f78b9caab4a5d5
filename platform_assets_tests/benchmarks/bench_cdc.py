"""From CDC messages to points in Cloud Monitoring: batches of the platform against the old service's way, one by one.

    python -m platform_assets_tests.benchmarks.bench_cdc [--messages 10000] [--partners 50] [--near]

Both read the same DuckDB tables and write to a Cloud Monitoring fake over gRPC, in this process. The messages are those
of 50 partners whose six pipelines start, run and complete in turn, each with tables of its own run; a third are
completions. ``platform``: queue, sensor, inbox, one Dagster run per tenant-day, SQLite instance. ``old``: the handlers
of the old service with its numbers of look-ups and queries (approval: 23 and 12), one call per point, on a connection
that stays open, with its SQL pasted; no queue, no HTTP. The warehouse is far away in production, so each request of
both takes half a second per query, 0.1 s per look-up and 0.02 s per write: assumed, on the low side of BigQuery and
Cloud Monitoring. ``--near`` measures without these delays too, where both do little but wait for DuckDB's planner.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from platform_assets.engine.tenancy import TenantSpec
from platform_assets.ports import OutboundMessage
from platform_assets.resources.query_sources.duckdb import DuckDBQuerySource
from platform_assets_tests.assets.cdc import catalogue, location
from platform_assets_tests.assets.cdc.messages import body, change
from platform_assets_tests.servers.monitoring import FakeMonitoring, serving

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk's fsync would be all that is measured
PROJECT = "test-project"
DAY = datetime(2025, 11, 5, tzinfo=UTC)
MOST_PARTNERS = 50
AGENTS = 23
STATUSES = ("INITIAL", "RUNNING", "COMPLETED")
PIPELINES = tuple(catalogue.VARIABLES)
OWN = ("u", "p", "excluded", "savings", "selected")  # tables of one cycle of pipelines
ROWS = 100


@dataclass(frozen=True)
class Delay:
    """Seconds that a request takes on its way, both ways together."""

    query: float = 0.0
    look_up: float = 0.0
    write: float = 0.0


NEAR, FAR = Delay(), Delay(query=0.5, look_up=0.1, write=0.02)


# --- Messages and tables --------------------------------------------------------------------------------------------


def partner(number: int) -> str:
    return f"partner{number:02d}"


def make_messages(count: int, partners: int) -> list[dict[str, Any]]:
    """In the order they would come: each partner's pipelines one after another, partners side by side."""
    each = count // partners
    step = 86_000 / each
    return [_message(n, p, n * step + p / partners) for n in range(each) for p in range(partners)]


def _message(number: int, owner: int, seconds: float) -> dict[str, Any]:
    run, status = divmod(number, len(STATUSES))
    cycle, pipeline = divmod(run, len(PIPELINES))
    record = change(
        number * MOST_PARTNERS + owner, pipeline_uuid=PIPELINES[pipeline], status=STATUSES[status]
    )
    at = DAY + timedelta(seconds=seconds)
    record |= {"source_timestamp": at.isoformat(), "sort_keys": [int(at.timestamp() * 1000), "0/1"]}
    variables = json.loads(json.dumps(catalogue.VARIABLES[PIPELINES[pipeline]]), object_hook=_of_cycle(cycle))
    record["payload"]["variables"] = {"partner": partner(owner), **variables}
    return record


def _of_cycle(cycle: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda found: {k: f"{v}_{cycle}" if v in OWN else v for k, v in found.items()}


def make_tables(folder: Path, cycles: int, partners: int) -> None:
    folder.mkdir()
    claims = (
        "SELECT 'a' || i AS id_arvo, i % 40 AS id_prestador, 'b' || i % 60 AS id_matricula, 'f' || i % 30 AS id_fatura,"
        " CAST(i AS DECIMAL(38, 9)) AS vl_pago, CAST(i AS DECIMAL(38, 9)) AS vl_info,"
        " TIMESTAMPTZ '2025-11-04 00:00:00+00' - to_days(CAST(i % 80 AS INTEGER)) AS created_at,"
        " TIMESTAMPTZ '2025-11-05 06:00:00+00' AS ingested_at FROM range({rows}) AS r(i)"
    )
    savings = f"SELECT i % {AGENTS} AS agent_id, CAST(i AS DECIMAL(38, 9)) AS vl_glosa_arvo FROM range({ROWS}) AS r(i)"
    validation = (
        "SELECT 'a' || i AS id_arvo, 'f' || i AS id_fatura, CAST(i AS DECIMAL(38, 9)) AS vl_glosa_arvo,"
        " CASE WHEN i % 3 = 0 THEN 'EXPIRED' ELSE 'APPROVED' END AS status, CAST(NULL AS VARCHAR) AS filtered_reason,"
        " TIMESTAMPTZ '2025-11-05 06:00:00+00' AS ingested_at, TIMESTAMP '2025-11-05 06:00:00' AS updated_at"
        f" FROM range({ROWS}) AS r(i)"
    )
    submitted = (
        "SELECT 'a' || i AS id_arvo, 'SUBMITTED_SUCCESS' AS status, CAST(i AS DECIMAL(38, 9)) AS vl_glosa_arvo,"
        f" 'run1' AS submission_run_id, TIMESTAMPTZ '2025-11-05 06:00:00+00' AS ingested_at FROM range({ROWS}) AS r(i)"
    )
    kept = {"uh": claims.format(rows=ROWS * 10), "ph": claims.format(rows=ROWS * 10), "submitted": submitted}
    kept |= dict.fromkeys(("internal", "manual", "selected_history"), validation)
    own = {"u": claims.format(rows=ROWS), "p": claims.format(rows=ROWS)}
    own |= dict.fromkeys(("excluded", "savings", "selected"), savings)
    with duckdb.connect(str(folder / f"{PROJECT}.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("BEGIN")
        for dataset in (f"tmp_{partner(n)}" for n in range(partners)):
            connection.execute(f"CREATE SCHEMA {dataset}")
            for name, query in kept.items():
                connection.execute(f"CREATE TABLE {dataset}.{name} AS {query}")
            for cycle in range(cycles):
                for name, query in own.items():
                    connection.execute(f"CREATE TABLE {dataset}.{name}_{cycle} AS {query}")
        connection.execute("COMMIT")


# --- The platform ---------------------------------------------------------------------------------------------------


@contextmanager
def counted_and_delayed(delay: Delay) -> Iterator[Counter[str]]:
    """Every query and look-up of DuckDB sources and every write to the sink's channel takes so long, and is counted."""
    from platform_assets.resources.metric_sink.cloud_monitoring import CloudMonitoringSink

    counts: Counter[str] = Counter()
    guard = threading.Lock()
    query, present, send = DuckDBQuerySource.query, DuckDBQuerySource.present, CloudMonitoringSink._try

    def slow(name: str, seconds: float, call: Any) -> Any:
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            with guard:
                counts[name] += 1
            if seconds:
                time.sleep(seconds)
            return call(self, *args, **kwargs)

        return wrapped

    DuckDBQuerySource.query = slow("queries", delay.query, query)  # type: ignore[method-assign]
    DuckDBQuerySource.present = slow("look_ups", delay.look_up, present)  # type: ignore[method-assign]
    CloudMonitoringSink._try = slow("writes", delay.write, send)  # type: ignore[method-assign]
    try:
        yield counts
    finally:
        DuckDBQuerySource.query, DuckDBQuerySource.present = query, present  # type: ignore[method-assign]
        CloudMonitoringSink._try = send  # type: ignore[method-assign]


def platform(
    folder: Path, sources: Path, records: Sequence[dict[str, Any]], delay: Delay
) -> tuple[float, Counter[str], FakeMonitoring]:
    """(seconds, what was asked, what arrived)."""
    folder.mkdir()
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    location.TENANTS = {  # type: ignore[attr-defined]
        name: TenantSpec(tenant=name, display_name=name) for name in map(partner, range(MOST_PARTNERS))
    }
    with (
        serving(lambda: DAY + timedelta(days=1)) as fake,
        dg.DagsterInstance.from_config(str(folder)) as instance,
        counted_and_delayed(delay) as counts,
    ):
        sink = {"project_id": "p", "endpoint": fake.address, "insecure": True}
        ports = {
            "object_store": {"kind": "local", "settings": {"root": str(folder / "objects")}},
            "metric_sink": {"kind": "cloud_monitoring", "settings": sink},
            "query_sources": {"kind": "duckdb", "settings": {"folder": str(sources)}},
            "queues": {"cdc": {"kind": "local", "settings": {"root": str(folder / "queue")}}},
        }
        place = location.CdcLocation(ports, {"data_project": PROJECT}, instance, date(2025, 11, 1))
        place.adapter("queue_cdc").send([OutboundMessage(body(record)) for record in records])
        began = time.perf_counter()
        while requests := place.tick():
            for request in requests:
                result = place.run(request.partition_key, tags=request.tags)
                assert result.success
                assert all(check.passed for check in result.get_asset_check_evaluations())
        seconds = time.perf_counter() - began
        place.adapter("metric_sink").close()
    return seconds, counts, fake


# --- The old way ------------------------------------------------------------------------------------------------------

_KNOWN = (
    "SELECT DISTINCT {column} FROM (SELECT * FROM {uh} UNION ALL SELECT * FROM {ph})"
    " WHERE created_at >= TIMESTAMPTZ '{day}' - INTERVAL {since} DAY"
)
_NEW = (
    "WITH batch AS (SELECT id_arvo, {column} FROM {u} UNION ALL SELECT id_arvo, {column} FROM {p}), known AS ("
    + _KNOWN.replace("{since}", "90")
    + " AND id_arvo NOT IN (SELECT id_arvo FROM batch))"
    " SELECT count(DISTINCT {column}) FILTER ({column} NOT IN (SELECT * FROM known)), count(DISTINCT {column})"
    " FROM batch"
)
_RATIO = (
    "WITH recent AS (SELECT {column} FROM {u} UNION SELECT {column} FROM {p} UNION "
    + _KNOWN.replace("{since}", "30")
    + "), earlier AS ("
    + _KNOWN.replace("{since}", "60")
    + " AND created_at < TIMESTAMPTZ '{day}' - INTERVAL 30 DAY)"
    " SELECT (SELECT count(*) FROM recent), (SELECT count(*) FROM earlier)"
)
_SUM = "SELECT sum({column}) FROM {table}"
_AGENTS = "SELECT agent_id, sum(vl_glosa_arvo), count(*) FROM {table} GROUP BY agent_id"
_EXPIRED = (
    "SELECT sum(vl_glosa_arvo) FROM (SELECT * FROM {internal} UNION ALL SELECT * FROM {manual})"
    " WHERE status = 'EXPIRED' AND ingested_at BETWEEN TIMESTAMPTZ '{at}' - INTERVAL 2 DAY AND TIMESTAMPTZ '{at}'"
    " AND updated_at BETWEEN TIMESTAMP '{at}' - INTERVAL 30 MINUTE AND TIMESTAMP '{at}'"
)
_SENT = (
    "WITH base AS (SELECT id_arvo, vl_glosa_arvo FROM {internal} UNION ALL SELECT id_arvo, vl_glosa_arvo FROM {manual})"
    " SELECT s.status, sum(s.vl_glosa_arvo), (SELECT sum(vl_glosa_arvo) FROM base) FROM {submitted} AS s"
    " WHERE s.id_arvo IN (SELECT id_arvo FROM base) GROUP BY s.status"
)


@dataclass
class OldService:
    """One message at a time; ``counts``: queries, look_ups, writes."""

    connection: duckdb.DuckDBPyConnection
    client: Any
    delay: Delay
    counts: Counter[str]

    def take(self, record: dict[str, Any]) -> None:
        row, at = record["payload"], record["source_timestamp"]
        variables, name = row["variables"], row["pipeline_uuid"]
        labels = {"partner": variables["partner"]}
        self._point("run_count", 1.0, at, pipeline_uuid=name, pipeline_status=row["status"], **labels)
        if row["status"] == "COMPLETED":
            _OLD_HANDLERS[name](self, variables, at, labels)

    def batch(self, variables: Any, at: str, labels: Any, names: Sequence[str], approved: str) -> None:
        """Pre-filter, processable, new ids and volume ratios: 20 look-ups, 8 queries."""
        tables = {
            key: self._named(variables, name) for key, name in zip(("u", "p", "uh", "ph"), names, strict=True)
        }
        for kind in ("pre", "post"):
            sums = [self._sum(tables[key], "vl_pago", looked_up=True) for key in ("u", "p")]
            self._point(f"{kind}_total", sums[0], at, approved=approved, **labels)
            self._point(f"{kind}_relative", sums[0] / (sums[0] + sums[1]), at, approved=approved, **labels)
        for sql in (_NEW, _RATIO):
            for column in ("id_prestador", "id_matricula"):
                for table in tables.values():
                    self._exists(table)
                ((first, second),) = self._query(sql.format(column=column, day=at[:10], **tables))
                value = first / second if second else 1.0
                self._point(f"{sql[5:8]}_{column}", value, at, approved=approved, **labels)

    def post_filter(self, variables: Any, at: str, labels: Any, excluded: str, approved: str) -> None:
        out = self._sum(self._named(variables, excluded), "vl_glosa_arvo", looked_up=True)
        all_ = self._sum(self._named(variables, "savings_input_table"), "vl_glosa_arvo", looked_up=False)
        self._point("excluded_total", out, at, approved=approved, **labels)
        self._point("excluded_relative", out / all_, at, approved=approved, **labels)

    def agents(self, variables: Any, at: str, labels: Any, name: str, **more: str) -> None:
        """A point, or for savings two, per agent."""
        table = self._named(variables, name)
        self._exists(table)
        for agent, value, count in self._query(_AGENTS.format(table=table)):
            self._point(f"{name[:7]}_value", float(value), at, agent_id=str(agent), **labels, **more)
            if "approved" in more:
                self._point("savings_count", float(count), at, agent_id=str(agent), **labels, **more)

    def expired(self, variables: Any, at: str, labels: Any) -> None:
        nested = {
            k: self._of(labels, next(iter(v.values()))) for k, v in variables.items() if isinstance(v, dict)
        }
        tables = {k.partition("_")[0]: v for k, v in nested.items()}
        ((value,),) = self._query(_EXPIRED.format(at=at, **tables))
        self._point("expired", float(value or 0), at, **labels)

    def submission(self, variables: Any, at: str, labels: Any) -> None:
        tables = {k: self._of(labels, k) for k in ("internal", "manual", "submitted")}
        for number in range(4):
            for status, sent, total in self._query(_SENT.format(**tables)):
                self._point(f"sent_{number}", float(sent / total), at, status=status, **labels)

    def _named(self, variables: Any, name: str) -> str:
        return self._of(variables, variables[name])

    def _of(self, labels: Any, table: str) -> str:
        return f"tmp_{labels['partner']}.{table}"

    def _sum(self, table: str, column: str, *, looked_up: bool) -> float:
        if looked_up:
            self._exists(table)
        ((total,),) = self._query(_SUM.format(column=column, table=table))
        return float(total or 0)

    def _exists(self, table: str) -> None:
        self._on_its_way("look_ups", self.delay.look_up)
        self.connection.execute(f"SELECT 1 FROM {table} LIMIT 0")

    def _query(self, sql: str) -> list[Any]:
        self._on_its_way("queries", self.delay.query)
        return self.connection.execute(sql).fetchall()

    def _point(self, name: str, value: float, at: str, **labels: str) -> None:
        from google.api import metric_pb2, monitored_resource_pb2
        from google.cloud.monitoring_v3 import types

        self._on_its_way("writes", self.delay.write)
        interval = types.TimeInterval({"end_time": datetime.fromisoformat(at)})
        series = types.TimeSeries(
            metric=metric_pb2.Metric(type=f"custom.googleapis.com/{name}", labels=labels),
            resource=monitored_resource_pb2.MonitoredResource(type="global", labels={"project_id": "p"}),
            metric_kind="GAUGE",
            value_type="DOUBLE",
            points=[types.Point(interval=interval, value=types.TypedValue({"double_value": value}))],
        )
        self.client.create_time_series(name="projects/p", time_series=[series])

    def _on_its_way(self, what: str, seconds: float) -> None:
        self.counts[what] += 1
        if seconds:
            time.sleep(seconds)


_WRANGLING, _APPROVAL = tuple(catalogue.WRANGLING), tuple(catalogue.APPROVAL)[:4]


def _approval(old: OldService, variables: Any, at: str, labels: Any) -> None:
    old.batch(variables, at, labels, _APPROVAL, "true")
    old.post_filter(variables, at, labels, "excluded_savings_input_table", "true")
    old.agents(variables, at, labels, "savings_input_table", approved="true")
    old.agents(variables, at, labels, "selected_savings_input_table", source="selected_savings")


_OLD_HANDLERS: dict[str, Callable[[OldService, Any, str, Any], None]] = {
    "pipesv2_wrangling": lambda o, v, at, labels: o.batch(v, at, labels, _WRANGLING, "false"),
    "pipesv2_approval": _approval,
    "pipesv2_selection": lambda o, v, at, labels: o.post_filter(
        v, at, labels, "excluded_savings_output_table", "false"
    ),
    "pipesv2_evaluation": lambda o, v, at, labels: o.agents(
        v, at, labels, "savings_output_table", approved="false"
    ),
    "pipesv2_release": OldService.expired,
    "pipesv2_submission": OldService.submission,
}


def one_by_one(
    sources: Path, records: Sequence[dict[str, Any]], delay: Delay
) -> tuple[float, Counter[str], Counter[str]]:
    """(seconds, what was asked for all, and for completed approvals alone)."""
    import grpc
    from google.cloud.monitoring_v3 import MetricServiceClient
    from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

    with (
        serving(lambda: DAY + timedelta(days=1)) as fake,
        duckdb.connect(str(sources / f"{PROJECT}.duckdb"), read_only=True) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        fake._type_reason = lambda series: None  # type: ignore[method-assign]  # the service makes descriptors itself
        channel = grpc.insecure_channel(fake.address)
        client = MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))
        counts, approvals = Counter[str](), Counter[str]()
        old = OldService(connection, client, delay, counts)
        began = time.perf_counter()
        for record in records:
            before = counts.copy()
            old.take(record)
            row = record["payload"]
            if (row["pipeline_uuid"], row["status"]) == ("pipesv2_approval", "COMPLETED"):
                approvals += counts - before
                approvals["messages"] += 1
        seconds = time.perf_counter() - began
        client.transport.close()
    return seconds, counts, approvals


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument(
        "--old-messages", type=int, default=54, help="so many, of whole rounds of all pipelines"
    )
    parser.add_argument("--partners", type=int, default=MOST_PARTNERS, help=f"up to {MOST_PARTNERS}")
    parser.add_argument("--near", action="store_true", help="without delays too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    partners = options.partners
    records = make_messages(options.messages, partners)
    # Whole rounds of single partners, so that the share of each pipeline is the same.
    round_ = len(PIPELINES) * len(STATUSES)
    sample = [r for p in range(partners) for r in records[p::partners][:round_]][: options.old_messages]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        root = Path(folder)
        make_tables(root / "sources", -(-len(records) // partners // round_) + 1, partners)
        for name, delay in (("near", NEAR), ("far", FAR)) if options.near else (("far", FAR),):
            asked = platform(root / name, root / "sources", records, delay)
            print(
                json.dumps(
                    {name: compared(asked, records, one_by_one(root / "sources", sample, delay), sample)}
                )
            )


def compared(
    platform_did: tuple[float, Counter[str], FakeMonitoring],
    records: Sequence[Any],
    old_did: tuple[float, Counter[str], Counter[str]],
    sample: Sequence[Any],
) -> dict[str, Any]:
    """What both did, for each of their messages, and how that compares."""
    (seconds, counts, fake), (old_seconds, old_counts, approvals) = platform_did, old_did
    rate, old_rate = len(records) / seconds, len(sample) / old_seconds
    return {
        "messages": len(records),
        "old_messages": len(sample),
        "platform_per_s": round(rate, 1),
        "old_per_s": round(old_rate, 2),
        "throughput_ratio (goal 20)": round(rate / old_rate, 1),
        "platform_queries_per_message": round(counts["queries"] / len(records), 4),
        "old_queries_per_message": round(old_counts["queries"] / len(sample), 2),
        "queries_ratio (goal 10)": round(
            old_counts["queries"] / len(sample) / (counts["queries"] / len(records)), 1
        ),
        "platform_look_ups_per_message": round(counts["look_ups"] / len(records), 4),
        "old_look_ups_per_message": round(old_counts["look_ups"] / len(sample), 2),
        "old_per_approval": {
            k: v / approvals["messages"] for k, v in sorted(approvals.items()) if k != "messages"
        },
        "platform_writes": counts["writes"],
        "platform_points": sum(map(len, fake.series.values())),
    }


if __name__ == "__main__":
    main()
