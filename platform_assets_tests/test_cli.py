"""The command line as people and CI use it: what it prints, its exit codes, and never a traceback."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from platform_assets.cli import main
from platform_assets_tests.config.tree import GOOD, SHOP, write_tree

SECRET = "value-under-test"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "configs")


@pytest.fixture
def run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    for name in [name for name in os.environ if name.startswith("PLATFORM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PLATFORM_CONFIG_ROOT", str(root))
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
        result = CliRunner().invoke(main, arguments, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def test_validate(run) -> None:  # type: ignore[no-untyped-def]
    result = run("validate")
    assert result.exit_code == 0
    assert result.output.startswith(
        "ok: 2 tenants, 2 providers, 3 pipelines, 4 tables, 2 expectations; deployment local, version "
    )


def test_validate_tells_every_problem_with_a_path_that_opens(run, root: Path) -> None:  # type: ignore[no-untyped-def]
    (root / "tenants" / "globex.yml").write_text("tenant: globx\ndisplay_nam: G\n")
    (root / SHOP / "to_costs.sql").write_text("DROP TABLE x")
    result = run("validate")
    assert result.exit_code == 1
    told = result.output.splitlines()
    assert told[-1] == "4 problem(s)"
    assert f"{root}/{SHOP}/to_costs.sql:1: only one SELECT" in told[0]
    assert any(line.endswith("(did you mean 'display_name'?)") for line in told)
    assert all(Path(line.split(":")[0]).is_file() for line in told[:-1])


def test_validate_looks_at_the_adapters_too(run, root: Path) -> None:  # type: ignore[no-untyped-def]
    text = (
        GOOD["deployments/local.yml"]
        .replace("kind: duckdb", "kind: duckdbb")
        .replace("root: objects", "rot: x")
    )
    (root / "deployments" / "local.yml").write_text(text)
    result = run("validate")
    assert result.exit_code == 1
    assert "local.yml:6: ports.warehouse.kind: there is no warehouse adapter 'duckdbb'" in result.output
    assert "local.yml:9: ports.object_store.settings.rot: is not a setting; known: root" in result.output


def test_options_win_over_the_environment(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    other = write_tree(tmp_path / "other")
    (other / "tenants" / "globex.yml").unlink()
    assert "1 tenant," in run("validate", "--config-root", str(other)).output
    result = run("validate", "--deployment", "locl")
    assert result.exit_code == 1
    assert "there is no deployment 'locl'; known: local (did you mean 'local'?)" in result.output


def test_tenant_add_and_list(run, root: Path) -> None:  # type: ignore[no-untyped-def]
    result = run("tenant", "add", "initech", "--credential", "weather=k", "--currency", "EUR")
    assert result.exit_code == 0
    assert (root / "tenants" / "initech.yml").is_file()
    assert run("validate").exit_code == 0
    listed = run("tenant", "list", env={"COLUMNS": "200"}).output
    assert "initech" in listed
    assert "own_sales, reporting, shop_costs" in listed
    again = run("tenant", "add", "initech")
    assert again.exit_code == 1
    assert again.output.startswith("error: tenant initech exists already")


def test_schema_generate_and_drift(run, root: Path) -> None:  # type: ignore[no-untyped-def]
    missing = run("schema", "generate", "--check")
    assert missing.exit_code == 1
    assert "tenant.json:1: is missing; run platform-assets schema generate" in missing.output
    assert "tenant.json" in run("schema", "generate").output
    assert run("schema", "generate").output == "changed: nothing\n"
    assert run("schema", "generate", "--check").exit_code == 0
    (root / ".schema" / "dq.json").write_text("{}")
    assert run("schema", "generate", "--check").exit_code == 1


def test_plan(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = run("plan", "raw_shop.orders", "--tenant", "acme1281", "--date", "2026-11-20")
    assert result.exit_code == 0
    assert "reads   GET https://api.shop.example/v1/orders?since=2026-11-20&region=eu" in result.output
    (plan,) = json.loads(run("plan", "raw_shop.orders", "--tenant", "acme1281", "--json").output)
    assert plan["table"] == "raw_shop.orders"
    assert run("plan", "--tenant", "acme128").exit_code == 1


def test_doctor_finds_what_is_missing_and_shows_no_secret(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    result = run("doctor")
    assert result.exit_code == 1
    assert "ok   warehouse (duckdb)" in result.output
    assert "FAIL secret acme1281/shop_key: tenant acme1281 has no secret 'shop_key'" in result.output
    found = run("doctor", env={"PLATFORM_SECRET__ACME1281__SHOP_KEY": SECRET})
    assert found.exit_code == 0
    assert "ok   secret acme1281/shop_key" in found.output
    assert SECRET not in found.output


def test_doctor_looks_for_the_secrets_of_channels_too(run, root: Path) -> None:  # type: ignore[no-untyped-def]
    deployment = root / "deployments" / "local.yml"
    deployment.write_text(
        f"{deployment.read_text()}  notifiers: {{slack: {{kind: slack}}, email: {{kind: smtp}}}}\n"
    )
    mail = {"type": "email", "channel_id": "m", "smtp_host": "mail.example", "from_email": "p@example.com"}
    mail |= {"to_emails": ["a@example.com"], "username": "p", "password_secret": "mail_password"}
    off = {"type": "slack", "channel_id": "s", "webhook_secret": "old_hook", "enabled": False}
    (root / "notifications").mkdir()
    (root / "notifications" / "config.json").write_text(json.dumps({"channels": [mail, off]}))
    output = run("doctor", env={"PLATFORM_SECRET__ACME1281__MAIL_PASSWORD": SECRET}).output
    assert "ok   secret acme1281/mail_password" in output
    assert "FAIL secret globex/mail_password: tenant globex has no secret 'mail_password'" in output
    assert "FAIL secret platform/mail_password" in output
    assert "old_hook" not in output and SECRET not in output


@pytest.mark.parametrize(
    "command", ["", "validate", "tenant", "tenant add", "schema generate", "plan", "doctor"]
)
def test_help(run, command: str) -> None:  # type: ignore[no-untyped-def]
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "platform_assets.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("PLATFORM_")}, **environment},
    )


def test_as_a_process(root: Path, tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    right = process("validate", "--config-root", str(root), PLATFORM_HOME=home)
    assert (right.returncode, right.stderr) == (0, "")
    (root / "providers" / "shop.yml").write_text("provider: [")
    wrong = process("validate", "--config-root", str(root), PLATFORM_HOME=home)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "providers/shop.yml:1: is not valid YAML" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_wrong_environment_is_an_error_too(tmp_path: Path) -> None:
    done = process("validate", PLATFORM_CONFIG_ROOT=str(tmp_path / "no"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: PLATFORM_CONFIG_ROOT=")


def test_help_loads_nothing_heavy() -> None:
    heavy = "('dagster', 'pydantic', 'sqlglot', 'rich', 'yaml')"
    code = f"import sys, platform_assets.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
