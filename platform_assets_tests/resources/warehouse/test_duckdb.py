"""What is DuckDB's own in the embedded warehouse: its files, its lock, its types, its clock."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from platform_assets.engine.errors import (
    ConfigError,
    DataError,
    NotFoundError,
    RejectedError,
    RetryableError,
)
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import (
    Field,
    FieldType,
    Granularity,
    Mode,
    Partitioning,
    Slice,
    TableSchema,
    TableSpec,
)
from platform_assets.engine.schema.planning import apply_plan, plan_changes
from platform_assets.engine.sql.binding import bind_query
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import SliceWrite
from platform_assets.resources.warehouse.arrow_spool import spooled
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse
from platform_assets_tests.engine.schema.test_planning import evolutions, schemas

TENANT = "acme1281"
SPEC = TableSpec(
    TableName("raw_any", "things"),
    TableSchema(
        (
            Field("id", FieldType.STRING, Mode.REQUIRED),
            Field("day", FieldType.DATE),
            Field("n", FieldType.INT64),
        )
    ),
    description="Things; it's ours.",
    labels=(("team", "data"),),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "warehouse"


@pytest.fixture
def warehouse(folder: Path) -> Iterator[DuckDBWarehouse]:
    opened = DuckDBWarehouse(DuckDBSettings(folder=folder, lock_timeout_seconds=10))
    yield opened
    opened.close()


def insert(warehouse: DuckDBWarehouse, sql: str, spec: TableSpec = SPEC) -> int:
    staging = warehouse.create_staging(TENANT, spec, "t")
    return warehouse.insert_select(TENANT, staging, bind_query(sql, TENANT))


# --- Files and locks ------------------------------------------------------------------------------------------------


def test_each_tenant_has_a_file_and_each_dataset_a_schema(warehouse: DuckDBWarehouse, folder: Path) -> None:
    for tenant in ("acme1281", "globex77"):
        warehouse.ensure_table(tenant, SPEC)
    assert sorted(path.name for path in folder.iterdir()) == ["acme1281.duckdb", "globex77.duckdb"]
    with duckdb.connect(str(folder / "acme1281.duckdb")) as plain:
        assert plain.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall() == [
            ("acme1281_raw_any", "things")
        ]


def test_the_file_is_free_between_operations(warehouse: DuckDBWarehouse, folder: Path) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    count = "SELECT COUNT(*) FROM duckdb_tables()"
    code = f"import duckdb, sys; print(duckdb.connect(sys.argv[1]).execute({count!r}).fetchone())"
    path = str(folder / "acme1281.duckdb")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "(1,)"
    assert warehouse.describe(TENANT, SPEC.name) is not None


HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
connection.close()
"""


@pytest.fixture
def holder(warehouse: DuckDBWarehouse, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the tenant's file open."""
    warehouse.ensure_table(TENANT, SPEC)
    command = [sys.executable, "-c", HOLDER, str(folder / "acme1281.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        if process.stdin and not process.stdin.closed:
            process.stdin.close()


def test_a_held_file_is_an_error_that_names_file_and_holder(
    holder: subprocess.Popen[str], folder: Path
) -> None:
    impatient = DuckDBWarehouse(DuckDBSettings(folder=folder, lock_timeout_seconds=0.2))
    with pytest.raises(RetryableError) as caught:
        impatient.describe(TENANT, SPEC.name)
    assert str(folder / "acme1281.duckdb") in str(caught.value)
    assert f"process {holder.pid}" in str(caught.value)


def test_a_held_file_is_waited_for(
    holder: subprocess.Popen[str], warehouse: DuckDBWarehouse, folder: Path
) -> None:
    assert holder.stdin is not None
    threading.Timer(0.3, holder.stdin.close).start()
    assert warehouse.describe(TENANT, SPEC.name) == SPEC.schema
    assert not (folder / "acme1281.duckdb.wanted").exists()


def test_a_killed_process_that_waited_keeps_nobody_out(warehouse: DuckDBWarehouse, folder: Path) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    (folder / "acme1281.duckdb.wanted").touch()
    assert warehouse.describe(TENANT, SPEC.name) == SPEC.schema


def test_two_adapters_of_one_process_take_turns(warehouse: DuckDBWarehouse, folder: Path) -> None:
    other = DuckDBWarehouse(DuckDBSettings(folder=folder, lock_timeout_seconds=10))
    warehouse.ensure_table(TENANT, SPEC)

    def work(one: DuckDBWarehouse, failures: list[BaseException]) -> None:
        try:
            for _ in range(10):
                assert one.describe(TENANT, SPEC.name) == SPEC.schema
        except BaseException as error:
            failures.append(error)

    failures: list[BaseException] = []
    threads = [threading.Thread(target=work, args=(one, failures)) for one in (warehouse, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert failures == []


def test_a_file_that_is_not_duckdbs_is_refused(warehouse: DuckDBWarehouse, folder: Path) -> None:
    folder.mkdir()
    (folder / "acme1281.duckdb").write_bytes(b"not a database at all" * 1000)
    with pytest.raises((RejectedError, RetryableError), match=r"acme1281\.duckdb"):
        warehouse.describe(TENANT, SPEC.name)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    warehouse = DuckDBWarehouse(DuckDBSettings(folder=tmp_path / "file" / "warehouse"))
    with pytest.raises(RejectedError):
        warehouse.describe(TENANT, SPEC.name)


# --- Isolation below the SQL ----------------------------------------------------------------------------------------


ESCAPES = [
    "SELECT * FROM read_text('/etc/hosts')",
    "SELECT * FROM read_csv('/etc/hosts')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM '/etc/hosts'",
    "ATTACH '{other}' AS other",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "SET enable_external_access = true",
    "INSTALL httpfs",
    "LOAD '/tmp/x.duckdb_extension'",
]


@pytest.mark.parametrize("sql", ESCAPES)
def test_the_instance_opens_no_file_but_its_own(warehouse: DuckDBWarehouse, folder: Path, sql: str) -> None:
    """Below translation and binding there is one more wall: raw DuckDB SQL on the adapter's own connection."""
    for tenant in (TENANT, "globex77"):
        warehouse.ensure_table(tenant, SPEC)
    text = sql.format(other=folder / "globex77.duckdb", folder=folder)
    with (
        pytest.raises((RejectedError, DataError, RetryableError, NotFoundError)),
        warehouse._file(TENANT).open() as connection,
    ):
        connection.execute(text).fetchall()


def test_python_variables_are_not_tables(warehouse: DuckDBWarehouse) -> None:
    stolen = pa.table({"x": [1]})
    assert stolen.num_rows == 1
    with pytest.raises(NotFoundError), warehouse._file(TENANT).open() as connection:
        connection.execute("SELECT * FROM stolen").fetchall()


def test_another_tenants_table_is_not_there(warehouse: DuckDBWarehouse) -> None:
    warehouse.ensure_table("globex77", SPEC)
    with pytest.raises(NotFoundError):
        warehouse.query(TENANT, BoundSql("SELECT * FROM globex77_raw_any.things"))


# --- Types and assignment -------------------------------------------------------------------------------------------

MONEY = TableSpec(
    TableName("raw_any", "money"),
    TableSchema(
        (
            Field("n", FieldType.NUMERIC),
            Field("b", FieldType.BIGNUMERIC),
            Field("f", FieldType.FLOAT64),
            Field("i", FieldType.INT64),
            Field("s", FieldType.STRING),
            Field("d", FieldType.DATE),
            Field("t", FieldType.TIMESTAMP),
            Field("l", FieldType.NUMERIC, Mode.REPEATED),
            Field(
                "r", FieldType.STRUCT, fields=(Field("a", FieldType.NUMERIC), Field("b", FieldType.STRING))
            ),
        )
    ),
)

ASSIGNED = {
    "SELECT 1 AS n": {"n": Decimal(1)},
    "SELECT BIGNUMERIC '1.123456789' AS n": {"n": Decimal("1.123456789")},
    "SELECT NUMERIC '1.5' AS b": {"b": Decimal("1.5")},
    "SELECT NUMERIC '1.5' AS f": {"f": 1.5},
    "SELECT 7 AS f": {"f": 7.0},
    "SELECT SUM(x) AS i FROM UNNEST([1, 2]) AS x": {"i": 3},
    "SELECT NULL AS n": {"n": None},
    "SELECT CAST(NULL AS STRING) AS s": {"s": None},
    "SELECT DATE_TRUNC(DATE '2026-01-31', MONTH) AS d": {"d": date(2026, 1, 1)},
    "SELECT [BIGNUMERIC '1.5'] AS l": {"l": [Decimal("1.5")]},
    "SELECT STRUCT('x' AS b, BIGNUMERIC '2' AS a) AS r": {"r": {"a": Decimal(2), "b": "x"}},
    "SELECT STRUCT(NUMERIC '2' AS a) AS r": {"r": {"a": Decimal(2), "b": None}},
}


@pytest.mark.parametrize(("sql", "expected"), ASSIGNED.items(), ids=list(ASSIGNED))
def test_a_value_that_fits_is_taken(
    warehouse: DuckDBWarehouse, sql: str, expected: dict[str, object]
) -> None:
    assert insert(warehouse, sql, MONEY) == 1
    (column,) = expected
    found = warehouse.query(TENANT, bind_query(f"SELECT {column} FROM raw_any.money__stage_t", TENANT))
    assert found.to_pylist() == [expected]


REFUSED = {
    "SELECT BIGNUMERIC '1.1234567891' AS n": (DataError, r"column n .*1\.1234567891"),
    "SELECT [BIGNUMERIC '1.5', BIGNUMERIC '0.0000000001'] AS l": (DataError, "column l "),
    "SELECT STRUCT(BIGNUMERIC '0.0000000001' AS a) AS r": (DataError, "column r "),
    "SELECT CAST(1.5 AS FLOAT64) AS n": (RejectedError, r"column n is DECIMAL.* give DOUBLE"),
    "SELECT CAST(1.5 AS FLOAT64) AS i": (RejectedError, "column i "),
    "SELECT NUMERIC '1.5' AS i": (RejectedError, "column i "),
    "SELECT '1' AS i": (RejectedError, "column i "),
    "SELECT 1 AS s": (RejectedError, "column s "),
    "SELECT '2026-01-31' AS d": (RejectedError, "column d "),
    "SELECT DATE '2026-01-31' AS t": (RejectedError, "column t "),
    "SELECT DATETIME '2026-01-31 12:00:00' AS d": (DataError, "column d "),
    "SELECT STRUCT(NUMERIC '2' AS a, 1 AS z) AS r": (RejectedError, "column r "),
    "SELECT 1 AS n, 2 AS N": (RejectedError, "comes twice"),
    "SELECT SUM(x) AS i FROM UNNEST([9223372036854775807, 1]) AS x": (DataError, "INT64"),
    "SELECT 1 AS n, 'x' AS s, 5 AS zz": (RejectedError, "zz does not exist"),
}


@pytest.mark.parametrize(("sql", "expected"), REFUSED.items(), ids=list(REFUSED))
def test_a_value_that_would_change_is_refused(
    warehouse: DuckDBWarehouse, sql: str, expected: tuple[type[Exception], str]
) -> None:
    error, words = expected
    with pytest.raises(error, match=words):
        insert(warehouse, sql, MONEY)
    left = warehouse.query(TENANT, bind_query("SELECT COUNT(*) AS n FROM raw_any.money__stage_t", TENANT))
    assert left.to_pylist() == [{"n": 0}]


def test_arrow_decimals_of_more_digits_are_not_rounded(warehouse: DuckDBWarehouse) -> None:
    staging = warehouse.create_staging(TENANT, MONEY, "t")
    fine = pa.record_batch({"n": pa.array([Decimal("1.5")], pa.decimal128(38, 18))})
    assert warehouse.load(TENANT, staging, [fine]) == 1
    losing = pa.record_batch({"n": pa.array([Decimal("1.0000000001")], pa.decimal128(38, 18))})
    with pytest.raises(DataError, match="column n "):
        warehouse.load(TENANT, staging, [losing])


def test_a_column_of_a_foreign_type_is_named(warehouse: DuckDBWarehouse, folder: Path) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    with duckdb.connect(str(folder / "acme1281.duckdb")) as plain:
        plain.execute("ALTER TABLE acme1281_raw_any.things ADD COLUMN odd DECIMAL(10, 2)")
    with pytest.raises(RejectedError, match=r"odd: DECIMAL\(10,2\)"):
        warehouse.describe(TENANT, SPEC.name)


def test_a_lost_comment_costs_no_data(warehouse: DuckDBWarehouse, folder: Path) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    with duckdb.connect(str(folder / "acme1281.duckdb")) as plain:
        plain.execute("COMMENT ON TABLE acme1281_raw_any.things IS 'edited by hand'")
    assert warehouse.describe(TENANT, SPEC.name) == SPEC.schema
    assert "set labels" in " ".join(warehouse.ensure_table(TENANT, SPEC))


def test_descriptions_and_labels_are_kept_and_changes_are_said(
    warehouse: DuckDBWarehouse, folder: Path
) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    changed = TableSpec(SPEC.name, SPEC.schema, description="New words.", labels=(("team", "finance"),))
    assert warehouse.ensure_table(TENANT, changed) == (
        "raw_any.things: set description",
        "raw_any.things: set labels",
    )
    assert warehouse.ensure_table(TENANT, changed) == ()
    with duckdb.connect(str(folder / "acme1281.duckdb")) as plain:
        row = plain.execute("SELECT comment FROM duckdb_tables()").fetchone()
    assert row is not None
    assert "finance" in row[0]


# --- Expiry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("granularity", "now", "kept"),
    [
        (Granularity.DAY, datetime(2026, 2, 9, 23, 59, tzinfo=UTC), ["2026-01-31", "2026-02-01"]),
        (Granularity.DAY, datetime(2026, 2, 10, 0, 0, tzinfo=UTC), ["2026-02-01"]),
        (Granularity.MONTH, datetime(2026, 1, 10, 23, 0, tzinfo=UTC), ["2026-01-31", "2026-02-01"]),
        (Granularity.MONTH, datetime(2026, 1, 11, 0, 0, tzinfo=UTC), ["2026-02-01"]),
        (Granularity.MONTH, datetime(2026, 3, 1, 0, 0, tzinfo=UTC), []),
    ],
)
def test_whole_partitions_expire_at_their_own_age(
    folder: Path, granularity: Granularity, now: datetime, kept: list[str]
) -> None:
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    warehouse = DuckDBWarehouse(DuckDBSettings(folder=folder), clock=lambda: clock[0])
    spec = TableSpec(SPEC.name, SPEC.schema, Partitioning("day", granularity, expiration_days=10))
    warehouse.ensure_table(TENANT, spec)
    staging = warehouse.create_staging(TENANT, spec, "t")
    days = [date(2026, 1, 31), date(2026, 2, 1)]
    rows = [{"id": str(day), "day": day, "n": 1} for day in days]
    warehouse.load(TENANT, staging, [pa.RecordBatch.from_pylist(rows, schema=arrow_schema(spec.schema))])
    warehouse.publish(TENANT, SliceWrite(spec, staging, "replace", Slice((("n", 1),))))
    clock[0] = now
    warehouse.ensure_table(TENANT, spec)
    found = warehouse.query(
        TENANT, bind_query("SELECT id FROM raw_any.things ORDER BY id", TENANT)
    ).to_pylist()
    assert [row["id"] for row in found] == kept
    warehouse.close()


def test_staging_tables_of_dead_runs_go_after_a_day(folder: Path) -> None:
    clock = [datetime(2026, 1, 1, tzinfo=UTC)]
    warehouse = DuckDBWarehouse(DuckDBSettings(folder=folder), clock=lambda: clock[0])
    orphan = warehouse.create_staging(TENANT, SPEC, "dead")
    clock[0] += timedelta(hours=23)
    fresh = warehouse.create_staging(TENANT, SPEC, "alive")
    assert warehouse.describe(TENANT, orphan) is not None
    clock[0] += timedelta(hours=2)
    warehouse.create_staging(TENANT, SPEC, "next")
    assert warehouse.describe(TENANT, orphan) is None
    assert warehouse.describe(TENANT, fresh) is not None
    warehouse.close()


# --- REQUIRED, nested -----------------------------------------------------------------------------------------------

DEEP = TableSpec(
    TableName("raw_any", "deep"),
    TableSchema(
        (
            Field("k", FieldType.INT64),
            Field("s", FieldType.STRUCT, fields=(Field("a", FieldType.STRING, Mode.REQUIRED),)),
            Field("l", FieldType.STRUCT, Mode.REPEATED, "", (Field("a", FieldType.STRING, Mode.REQUIRED),)),
            Field("t", FieldType.STRING, Mode.REPEATED),
        )
    ),
)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"k": 1, "s": {"a": "x"}, "l": [{"a": "y"}], "t": ["z"]}, None),
        ({"k": 1, "s": None, "l": [], "t": []}, None),
        ({"k": 1, "s": None, "l": None, "t": None}, None),
        ({"k": 1, "s": {"a": None}, "l": [], "t": []}, "s.a"),
        ({"k": 1, "s": None, "l": [{"a": "y"}, {"a": None}], "t": []}, "l.a"),
        ({"k": 1, "s": None, "l": [], "t": ["z", None]}, "t"),
    ],
)
def test_required_holds_inside_structs_and_lists(
    warehouse: DuckDBWarehouse, row: dict[str, object], column: str | None
) -> None:
    warehouse.ensure_table(TENANT, DEEP)
    staging = warehouse.create_staging(TENANT, DEEP, "t")
    warehouse.load(TENANT, staging, [pa.RecordBatch.from_pylist([row], schema=arrow_schema(DEEP.schema))])
    write = SliceWrite(DEEP, staging, "replace", Slice((("k", 1),)))
    if column is None:
        assert warehouse.publish(TENANT, write).rows_inserted == 1
    else:
        with pytest.raises(DataError, match=column):
            warehouse.publish(TENANT, write)


# --- The rest -------------------------------------------------------------------------------------------------------


def test_settings_are_strict() -> None:
    with pytest.raises(ValidationError):
        DuckDBSettings.model_validate({"folder": "x", "directory": "y"})


def test_unsupported_sql_is_said_before_it_runs(warehouse: DuckDBWarehouse) -> None:
    with pytest.raises(ConfigError, match="FARM_FINGERPRINT"):
        warehouse.query(TENANT, BoundSql("SELECT FARM_FINGERPRINT('a') AS x"))


def test_unused_parameters_do_no_harm(warehouse: DuckDBWarehouse) -> None:
    """BigQuery takes them, so DuckDB does."""
    query = BoundSql("SELECT @a AS a", {"a": (FieldType.INT64, 1), "b": (FieldType.INT64, 2)})
    assert warehouse.query(TENANT, query).to_pylist() == [{"a": 1}]


def test_an_estimate_grows_with_the_table(warehouse: DuckDBWarehouse) -> None:
    query = bind_query("SELECT id FROM raw_any.things__stage_t", TENANT)
    insert(warehouse, "SELECT 'a' AS id")
    one = warehouse.estimate(TENANT, query).bytes
    insert(warehouse, "SELECT 'a' AS id, n FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS n")
    assert warehouse.estimate(TENANT, query).bytes >= 100 * one > 0


def test_large_loads_wait_on_disk_not_in_memory() -> None:
    batch = pa.record_batch({"x": list(range(1000))})
    with spooled((batch for _ in range(50)), in_memory_bytes=10_000) as reader:
        assert reader is not None
        assert sum(b.num_rows for b in reader) == 50_000
    with spooled([batch], in_memory_bytes=10_000_000) as reader:
        assert reader is not None
        assert reader.read_all().num_rows == 1000
    with pytest.raises(DataError, match="differ"), spooled([batch, pa.record_batch({"y": [1]})]):
        pass


def test_a_load_does_not_hold_the_lock_while_its_source_is_slow(
    warehouse: DuckDBWarehouse, folder: Path
) -> None:
    staging = warehouse.create_staging(TENANT, SPEC, "t")
    other = DuckDBWarehouse(DuckDBSettings(folder=folder, lock_timeout_seconds=0))
    seen: list[object] = []

    def slow() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"id": ["a"]})
        seen.append(other.describe(TENANT, staging))
        yield pa.record_batch({"id": ["b"]})

    assert warehouse.load(TENANT, staging, slow()) == 2
    other.close()
    assert len(seen) == 1


def test_a_fork_free_close_ends_all_threads_of_the_instance(warehouse: DuckDBWarehouse) -> None:
    before = len(list(Path("/proc/self/task").iterdir()))
    for number in range(4):
        warehouse.ensure_table(f"tenant_{number}", SPEC)
    warehouse.close()
    for _ in range(50):
        if len(list(Path("/proc/self/task").iterdir())) <= before:
            return
        time.sleep(0.02)
    raise AssertionError("threads are left behind")


@settings(max_examples=40, deadline=None)
@given(pair=st.one_of(evolutions(), st.tuples(schemas, schemas)))
def test_what_is_planned_is_what_the_table_becomes(
    tmp_path_factory: pytest.TempPathFactory, pair: tuple[TableSchema, TableSchema]
) -> None:
    current, wanted = pair
    plan = plan_changes(current, wanted)
    warehouse = DuckDBWarehouse(DuckDBSettings(folder=tmp_path_factory.mktemp("planned")))
    try:
        warehouse.ensure_table(TENANT, TableSpec(SPEC.name, current))
        assert warehouse.describe(TENANT, SPEC.name) == current
        if plan.refusals:
            with pytest.raises(RejectedError):
                warehouse.ensure_table(TENANT, TableSpec(SPEC.name, wanted))
            assert warehouse.describe(TENANT, SPEC.name) == current
        else:
            warehouse.ensure_table(TENANT, TableSpec(SPEC.name, wanted))
            assert warehouse.describe(TENANT, SPEC.name) == apply_plan(current, plan)
            assert warehouse.ensure_table(TENANT, TableSpec(SPEC.name, wanted)) == ()
    finally:
        warehouse.close()
