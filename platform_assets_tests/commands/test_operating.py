"""The command line of procedures and migrations, on the repository's own configuration's shape and a real warehouse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from platform_assets.cli import main
from platform_assets_tests.config.tree import write_tree
from platform_assets_tests.contracts.test_operations import FIRST, REMOVE

Run = Callable[..., Result]
DAY = ("--set", "p_day=2026-11-20")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = write_tree(tmp_path / "configs")
    for name, text in (("procedures/retention/sp_remove.sql", REMOVE), ("migrations/0001_mark.sql", FIRST)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return root


@pytest.fixture
def run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("PLATFORM_CONFIG_ROOT", str(root))
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def test_procedures_from_new_to_run(run: Run) -> None:
    assert "acme1281  sp_remove  new  deployed never" in run("procedures", "list").output
    assert run("procedures", "diff", "--tenant", "globex").exit_code == 1
    assert run("procedures", "sync").output.splitlines() == [
        "acme1281  sp_remove: new",
        "globex  sp_remove: new",
    ]
    assert "nothing to change" in run("procedures", "diff").output
    shown = run(
        "procedures", "run", "sp_remove", "--tenant", "acme1281", *DAY, "--set", "p_id=a", "--dry-run"
    )
    assert shown.output == "  DELETE raw_shop.orders: 0 rows\n"
    done = run("procedures", "run", "sp_remove", "--tenant", "acme1281", *DAY, "--set", "p_id=a")
    assert done.output == "acme1281  sp_remove  0 rows changed by 1 statements\n"


def test_mistakes_are_one_line_each(run: Run) -> None:
    wrong = run("procedures", "run", "sp_remove", "--tenant", "acme1281", *DAY)
    assert wrong.exit_code == 1
    assert "procedures/retention/sp_remove.sql:1: p_id is missing" in wrong.output
    assert "did you mean acme1281" in run("procedures", "list", "--tenant", "acme128").output


def test_migrations(run: Run) -> None:
    assert "acme1281  pending: migrations/0001_mark.sql" in run("migrations", "list").output
    assert "UPDATE raw_shop.orders: 0 rows" in run("migrations", "run", "--dry-run").output
    assert run("migrations", "run").output.count("0001_mark.sql: 0 rows") == 2
    assert "acme1281  pending: none" in run("migrations", "list").output
    assert run("migrations", "run").output == ""


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("procedures/loose.sql", REMOVE, "is not read; procedures are procedures/<domain>/<name>.sql"),
        ("procedures/a/notes.txt", "x", "is not read"),
        ("procedures/other/sp_remove.sql", REMOVE, "is also procedures/other/sp_remove.sql"),
        (
            "procedures/a/sp_x.sql",
            REMOVE.replace("sp_remove", "sp_x").replace("orders", "ordres"),
            "raw_shop.orders",
        ),
        (
            "procedures/a/sp_x.sql",
            REMOVE.replace("sp_remove", "sp_x").replace("DELETE", "DROP"),
            "DROP is not",
        ),
        ("migrations/mark.sql", FIRST, "migrations are migrations/<0001>_<name>.sql"),
        ("migrations/0001_again.sql", FIRST, "number 0001 is also"),
        ("migrations/0002_x.sql", "DROP TABLE raw_shop.orders", "DROP is not allowed"),
    ],
)
def test_what_is_wrong_is_found_by_validate(run: Run, root: Path, file: str, text: str, reason: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text, "utf-8")
    result = run("validate")
    assert result.exit_code == 1
    assert reason in result.output
