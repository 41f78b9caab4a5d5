"""``platform-assets dq`` on a real warehouse file: exit codes, pages, proposals that hold."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner, Result

from platform_assets.cli import main
from platform_assets.config import Configuration, load
from platform_assets.engine.quality.spec import DqFile
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import Slice
from platform_assets.ports import SliceWrite
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse
from platform_assets_tests.config.tree import write_tree

DAY = date(2026, 11, 20)
Dq = Callable[..., Result]


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    root = write_tree(tmp_path / "configs")
    return load(root, deployment="local", environment={}, today=date(2026, 11, 21))


def publish(configuration: Configuration, folder: Path, amounts: list[str | None]) -> None:
    """acme's orders of ``DAY``: one per amount."""
    spec = configuration.pipelines["shop_costs"].steps[0].table
    standard = {
        "ingestion_date": DAY,
        "ingestion_timestamp": datetime(2026, 11, 21, tzinfo=UTC),
        "pipeline_logging_id": "r",
        "x_tenant": "acme1281",
        "x_pipeline": "shop_costs",
        "x_credential": "main",
        "x_run_date": DAY,
    }
    rows: list[dict[str, Any]] = [
        {"order_id": f"o{n}", "amount": None if a is None else Decimal(a), "region": "eu", **standard}
        for n, a in enumerate(amounts)
    ]
    warehouse = DuckDBWarehouse(DuckDBSettings(folder=folder))
    warehouse.ensure_table("acme1281", spec)
    staging = warehouse.create_staging("acme1281", spec, "t")
    warehouse.load("acme1281", staging, [pa.RecordBatch.from_pylist(rows, schema=arrow_schema(spec.schema))])
    assert spec.partitioning is not None
    target = Slice(((spec.partitioning.column, DAY),))
    warehouse.publish("acme1281", SliceWrite(spec, staging, "replace", target))
    warehouse.close()


@pytest.fixture
def dq(configuration: Configuration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dq:
    monkeypatch.setenv("PLATFORM_CONFIG_ROOT", str(configuration.root))
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(main, ["dq", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


WHAT = ("--table", "raw_shop.orders", "--date", str(DAY), "--tenant", "acme1281")


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "home" / "warehouse"


def test_a_good_slice(dq: Dq, configuration: Configuration, warehouse: Path) -> None:
    publish(configuration, warehouse, ["1", "2"])
    result = dq("run", *WHAT)
    assert result.exit_code == 0
    assert "acme1281 · raw_shop.orders · 2026-11-20" in result.output
    assert result.output.count("| passed |") == 2


def test_exit_codes_say_what_failed(dq: Dq, configuration: Configuration, warehouse: Path) -> None:
    publish(configuration, warehouse, ["1", "200"])  # a warning
    assert dq("run", *WHAT).exit_code == 0
    assert dq("run", *WHAT, "--strict").exit_code == 1
    publish(configuration, warehouse, ["1", None])  # critical
    assert dq("run", *WHAT).exit_code == 1


def test_json_has_counts_samples_and_sql(dq: Dq, configuration: Configuration, warehouse: Path) -> None:
    publish(configuration, warehouse, ["1", "200.5", None])
    [slice_] = json.loads(dq("run", *WHAT, "--json").output)
    between = next(c for c in slice_["checks"] if c["type"] == "expect_column_values_to_be_between")
    assert (between["state"], between["unexpected_count"], between["missing_count"]) == ("failed", 1, 1)
    assert between["unexpected_percent"] == 50
    assert Decimal(between["failing_rows"][0]["amount"]) == Decimal("200.5")
    assert "2026-11-20" in between["sql"]  # the slice is a literal


@pytest.mark.parametrize("suffix", ["html", "md"])
def test_a_page(dq: Dq, configuration: Configuration, warehouse: Path, tmp_path: Path, suffix: str) -> None:
    publish(configuration, warehouse, ["200"])
    page = tmp_path / f"page.{suffix}"
    assert dq("run", *WHAT, "--report", str(page)).exit_code == 0
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>" if suffix == "html" else "# Data quality")
    assert "1 of 1 rows (100 %)" in text


def test_a_table_that_was_never_filled_breaks_every_check(dq: Dq) -> None:
    result = dq("run", *WHAT)
    assert result.exit_code == 1
    assert result.output.count("| error |") == 2


def test_suggest_proposes_what_holds(dq: Dq, configuration: Configuration, warehouse: Path) -> None:
    publish(configuration, warehouse, [str(n) for n in range(20)])
    text = dq("suggest", *WHAT).output
    assert text.startswith("# Proposed from 20 rows of acme1281, 2026-11-20.")
    found = DqFile.model_validate(yaml.safe_load(text))
    assert {e["type"] for e in found.suites[0].expectations} >= {"expect_column_values_to_be_between"}
    (configuration.root / "pipelines/shop/cost/shop_costs/dq.yml").write_text(text)
    assert dq("run", *WHAT, "--strict").exit_code == 0


def test_suggest_never_overwrites(
    dq: Dq, configuration: Configuration, warehouse: Path, tmp_path: Path
) -> None:
    publish(configuration, warehouse, ["1"])
    out = tmp_path / "dq.yml"
    assert dq("suggest", *WHAT, "--out", str(out)).exit_code == 0
    before = out.read_text()
    again = dq("suggest", *WHAT, "--out", str(out))
    assert (again.exit_code, out.read_text()) == (1, before)


def test_a_runs_page_is_fetched_from_the_store(dq: Dq, tmp_path: Path) -> None:
    LocalObjectStore(LocalObjectStoreSettings(root=str(tmp_path / "objects"))).put(
        "reports/quality/acme1281/r1.html", b"<!doctype html>"
    )
    assert dq("report", "r1", "--tenant", "acme1281").exit_code == 0
    assert (tmp_path / "quality-r1.html").read_bytes() == b"<!doctype html>"
    missing = dq("report", "r2", "--tenant", "acme1281")
    assert missing.exit_code == 1 and "r2" in missing.output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--table", "raw_shop.order"), "did you mean raw_shop.orders?"),
        (("--table", "raw_shop.orders", "--tenant", "acme1282"), "did you mean acme1281?"),
        (
            ("--table", "raw_shop.orders", "--tenant", "globex"),
            "globex runs nothing that fills raw_shop.orders",
        ),
        (("--table", "gold_reporting.daily"), "has no suite"),
    ],
)
def test_what_cannot_be_audited(dq: Dq, arguments: tuple[str, ...], reason: str) -> None:
    result = dq("run", *arguments)
    assert result.exit_code == 1
    assert reason in result.output
