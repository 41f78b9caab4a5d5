"""A tenant's life on the command line, in the embedded warehouse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from platform_assets.cli import main
from platform_assets_tests.config.tree import write_tree

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PLATFORM_CONFIG_ROOT", str(write_tree(tmp_path / "configs")))
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(main, ["tenant", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def test_from_the_first_table_to_the_last(run: Run, tmp_path: Path) -> None:
    assert "would raw_shop.orders: create with" in run("provision", "acme1281", "--dry-run").output
    assert "raw_shop.orders: create with" in run("provision", "acme1281").output
    assert run("provision", "acme1281").output == "nothing to change\n"
    early = run("offboard", "acme1281", "--delete", "--confirm", "acme1281")
    assert (early.exit_code, "suspend it first" in early.output) == (1, True)
    file = tmp_path / "configs" / "tenants" / "acme1281.yml"
    before, planned = file.read_text("utf-8"), run("suspend", "acme1281", "--dry-run").output
    assert (planned, file.read_text("utf-8")) == (f"would set status: suspended in {file}\n", before)
    assert run("resume", "acme1281", "--dry-run").output == "acme1281 is active already\n"
    assert run("suspend", "acme1281").output == "acme1281 is suspended; reload the code location\n"
    assert run("suspend", "acme1281").output == "acme1281 is suspended already\n"
    assert "would export and delete raw_shop.orders" in (
        run("offboard", "acme1281", "--delete", "--confirm", "acme1281", "--dry-run").output
    )
    refused = run("offboard", "acme1281", "--delete")
    assert (refused.exit_code, "--confirm acme1281" in refused.output) == (1, True)
    assert "deleted every table" in run("offboard", "acme1281", "--delete", "--confirm", "acme1281").output
    assert not (tmp_path / "home" / "warehouse" / "acme1281.duckdb").exists()
    assert (tmp_path / "objects" / "offboarded" / "acme1281" / "manifest.json").is_file()
    assert run("resume", "acme1281").output == "acme1281 is active; reload the code location\n"


@pytest.mark.parametrize("command", ["provision", "suspend", "resume", "offboard"])
def test_an_unknown_tenant_is_refused(run: Run, command: str) -> None:
    result = run(command, "nobody")
    assert (result.exit_code, "there is no tenant 'nobody'" in result.output) == (1, True)
