"""Apache Beam's direct runner on a file of events: parse, add the two columns, Parquet and text files by type.

Runs in Beam's own environment: events_beam_side.py FILE FEW FOLDER, where FEW is taken first, unmeasured. The last line
printed is JSON.
"""

import json
import logging
import resource
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions

KINDS = ("inventory", "order", "user_activity")
TEXT, STAMP = pa.string(), pa.timestamp("us", "UTC")
ADDED = [("event_date", pa.date32()), ("processed_timestamp", STAMP)]
ITEM = pa.struct(
    [("product_id", TEXT), ("product_name", TEXT), ("quantity", pa.int64()), ("price", pa.float64())]
)
ADDRESS = pa.struct([("street", TEXT), ("city", TEXT), ("country", TEXT)])


def schema(texts: str, *others: tuple) -> pa.Schema:
    return pa.schema([*((name, TEXT) for name in texts.split()), *others, *ADDED])


SCHEMAS = {
    "inventory": schema(
        "event_type inventory_id product_id warehouse_id reason",
        ("quantity_change", pa.int64()),
        ("timestamp", STAMP),
    ),
    "order": schema(
        "event_type order_id customer_id status",
        ("order_date", STAMP),
        ("items", pa.list_(ITEM)),
        ("shipping_address", ADDRESS),
        ("total_amount", pa.float64()),
    ),
    "user_activity": schema(
        "event_type user_id activity_type ip_address user_agent",
        ("timestamp", STAMP),
        ("metadata", pa.struct([("session_id", TEXT), ("platform", TEXT)])),
    ),
}


def parse(line: str) -> dict:
    event = json.loads(line)
    name = "order_date" if event["event_type"] == "order" else "timestamp"
    happened = datetime.fromisoformat(event[name])
    now = datetime.now(UTC)
    return event | {name: happened, "event_date": happened.date(), "processed_timestamp": now}


def kind(event: dict, count: int) -> int:
    return KINDS.index(event["event_type"])


def as_text(event: dict) -> str:
    return json.dumps(event, default=str)


def cpu() -> float:
    """Seconds of processor time, those of processes that have ended included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run(source: str, folder: Path) -> None:
    with beam.Pipeline(options=PipelineOptions(["--runner=DirectRunner"])) as pipeline:
        parsed = pipeline | beam.io.ReadFromText(source) | beam.Map(parse)
        for name, events in zip(KINDS, parsed | beam.Partition(kind, len(KINDS)), strict=True):
            table = beam.io.WriteToParquet(str(folder / name), SCHEMAS[name], file_name_suffix=".parquet")
            _ = events | f"table {name}" >> table
            text = beam.io.WriteToText(str(folder / f"output-{name}"), file_name_suffix=".json")
            _ = events | f"text {name}" >> beam.Map(as_text) | f"files {name}" >> text


def main() -> None:
    logging.getLogger().setLevel(logging.ERROR)
    source, few, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    run(few, folder / "warm_up")
    began, used = time.perf_counter(), cpu()
    run(source, folder)
    seconds, used = time.perf_counter() - began, cpu() - used
    rows = sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    found = {"seconds": seconds, "cpu": used, "rows": rows, "peak_mb": peak, "beam": beam.__version__}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
