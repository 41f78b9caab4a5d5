"""Files of a manifest: the newest execution, exactly its files, whole or not at all."""

import gzip
import io
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.engine.errors import DataError, NotFoundError, RetryableError
from platform_assets.engine.ingestion.manifest import csv_batches, data_files, read_files
from platform_assets.engine.ingestion.spec import ObjectStoreSource
from platform_assets.engine.ingestion.variables import slice_variables

PREFIX = "exports/focus-demo"
METADATA = f"{PREFIX}/metadata/BILLING_PERIOD=2026-06"


@dataclass(frozen=True)
class Info:
    key: str
    modified: datetime


class Store:
    """A bucket in memory; ``listed`` remembers which prefixes were listed."""

    def __init__(self):
        self.objects, self.times, self.listed = {}, {}, []

    def put(self, key, data, minutes=0):
        self.objects[key] = data
        self.times[key] = datetime(2026, 7, 2, tzinfo=UTC) + timedelta(minutes=minutes)

    def get(self, key):
        if key not in self.objects:
            raise NotFoundError(key)
        return self.objects[key]

    def list(self, prefix, *, start_after=""):
        self.listed.append(prefix)
        return [Info(k, self.times[k]) for k in sorted(self.objects) if k.startswith(prefix)]


def source(kind="csv"):
    return ObjectStoreSource(
        type="object_store",
        bucket="{{ parameters.bucket }}",
        manifests="{{ parameters.prefix }}/metadata/BILLING_PERIOD={{ month_start[:7] }}/",
        format=kind,
    )


VARIABLES = slice_variables(
    date(2026, 6, 17), tenant="acme", credential="c", parameters={"bucket": "demo", "prefix": PREFIX}
)


def rows(store, kind="csv"):
    return [row for batch in read_files(source(kind), store, VARIABLES) for row in batch.to_pylist()]


def csv_file(*lines):
    return gzip.compress("\n".join(("BilledCost,Tags", *lines, "")).encode())


def manifest(*files, **extra):
    return json.dumps({"exportName": "focus-demo", "dataFiles": list(files), **extra}).encode()


def uri(name):
    return f"s3://demo/{PREFIX}/data/BILLING_PERIOD=2026-06/{name}"


def key(name):
    return f"{PREFIX}/data/BILLING_PERIOD=2026-06/{name}"


@pytest.fixture
def store():
    return Store()


def test_only_the_files_of_the_manifest_are_read(store):
    store.put(key("a-00001.csv.gz"), csv_file("1.5,x"))
    store.put(key("stale-00001.csv.gz"), csv_file("1000,stale"))
    store.put(f"{METADATA}/focus-demo-Manifest.json", manifest(uri("a-00001.csv.gz")))
    assert rows(store) == [{"BilledCost": "1.5", "Tags": "x"}]
    assert store.listed == [f"{METADATA}/"]


def test_of_several_executions_the_newest_counts(store):
    for minutes, execution, amount in ((0, "20260701T120000Z-ff", "1"), (60, "20260702T120000Z-a1", "2")):
        store.put(key(f"{execution}/f-00001.csv.gz"), csv_file(f"{amount},x"))
        listed = manifest(uri(f"{execution}/f-00001.csv.gz"))
        store.put(f"{METADATA}/{execution}/focus-demo-Manifest.json", listed, minutes)
    assert [r["BilledCost"] for r in rows(store)] == ["2"]


def test_files_with_sizes_in_the_manifests_order(store):
    files = []
    for name, amount in (("b", "2"), ("a", "1")):
        data = csv_file(f"{amount},x")
        store.put(key(f"{name}.csv.gz"), data)
        files.append({"s3Uri": uri(f"{name}.csv.gz"), "size": len(data)})
    store.put(f"{METADATA}/focus-demo-Manifest.json", manifest(*files, additionalOutputFiles=[]))
    assert [r["BilledCost"] for r in rows(store)] == ["2", "1"]


def test_a_file_that_is_being_rewritten_is_tried_again_later(store):
    store.put(key("a.csv.gz"), csv_file("1,x"))
    store.put(f"{METADATA}/x-Manifest.json", manifest({"s3Uri": uri("a.csv.gz"), "size": 7}))
    with pytest.raises(RetryableError, match="being rewritten"):
        rows(store)


def test_a_period_without_manifest_is_an_error_not_an_empty_month(store):
    store.put(key("a.csv.gz"), csv_file("1,x"))
    with pytest.raises(NotFoundError, match="no manifest"):
        rows(store)


def test_a_listed_file_that_is_gone_is_an_error(store):
    store.put(f"{METADATA}/x-Manifest.json", manifest(uri("gone.csv.gz")))
    with pytest.raises(NotFoundError):
        rows(store)


@pytest.mark.parametrize(
    "listed",
    [
        b"not json",
        b"{}",
        b'{"dataFiles": [{"size": 3}]}',
        b'{"dataFiles": "s3://demo/x"}',
        b'{"dataFiles": [7]}',
        manifest("s3://somebody-else/x.csv"),
        manifest("https://demo/x.csv"),
        manifest("s3://demo/a/../../x.csv"),
        manifest("s3://demo/x.csv", "s3://demo/x.csv"),
    ],
)
def test_manifests_that_cannot_be_right_are_refused(listed):
    with pytest.raises(DataError):
        data_files(listed, "m.json", "demo")


def test_parquet(store):
    table = pa.table(
        {"BilledCost": [0.25], "Tags": pa.array([[("a", "b")]], pa.map_(pa.string(), pa.string()))}
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    store.put(key("a.snappy.parquet"), buffer.getvalue())
    store.put(f"{METADATA}/x-Manifest.json", manifest(uri("a.snappy.parquet")))
    assert rows(store, "parquet") == [{"BilledCost": 0.25, "Tags": [("a", "b")]}]


def test_a_truncated_file_is_an_error(store):
    store.put(key("a.csv.gz"), csv_file(*(f"{i},x" for i in range(500)))[:-60])
    store.put(f"{METADATA}/x-Manifest.json", manifest(uri("a.csv.gz")))
    with pytest.raises(DataError, match=r"a\.csv\.gz"):
        rows(store)


def test_csv_values_stay_texts_and_may_hold_line_ends():
    [batch] = csv_batches('\ufeffa,b\n007,"two\nlines"\n,x\n', "f.csv")
    assert batch.to_pylist() == [{"a": "007", "b": "two\nlines"}, {"a": None, "b": "x"}]


def test_a_csv_header_alone_has_no_rows_and_a_column_may_stand_once():
    assert [b.num_rows for b in csv_batches("a,b\n", "f.csv") if b.num_rows] == []
    with pytest.raises(DataError, match="twice"):
        list(csv_batches("a,A\n1,2\n", "f.csv"))
    with pytest.raises(DataError, match=r"f\.csv"):
        list(csv_batches("a,b\n1\n", "f.csv"))
