"""``platform-assets inbox`` on a folder of objects: what people see, and what their commands leave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from platform_assets.assets.inbox.store import Inbox
from platform_assets.commands import inbox as command
from platform_assets.engine.errors import NotFoundError
from platform_assets.engine.inbox.model import DeadLetter, StoredMessage
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings

AT = datetime(2026, 1, 31, tzinfo=UTC)
KEYS = ["orders/2026-01-31/m%2F1", "orders/2026-01-31/m2", "returns/2026-01-31/m3"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalObjectStore:
    store = LocalObjectStore(LocalObjectStoreSettings(root=str(tmp_path)))
    monkeypatch.setattr(command, "_store", lambda deployment: store)
    for source, id_ in (("orders", "m/1"), ("orders", "m2"), ("returns", "m3")):
        message = StoredMessage(id_, b'{"amount": 1}', {"type": "order"})
        Inbox(store, source).quarantine([DeadLetter(source, message, "unknown tenant 'x'", 2, AT)])
    return store


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.inbox, arguments, catch_exceptions=False)


def letters(store: LocalObjectStore) -> Sequence[str]:
    return [info.key for info in store.list("inbox/dead_letter/")]


def test_list_names_every_dead_letter(store: LocalObjectStore) -> None:
    lines = run("list").output.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == KEYS
    assert lines[-1] == "3 dead letter(s)"
    assert "unknown tenant" in lines[0]
    assert run("list", "--source", "returns").output.splitlines()[-1] == "1 dead letter(s)"


def test_show_gives_the_reason_and_the_original_bytes(store: LocalObjectStore) -> None:
    output = run("show", KEYS[0]).output
    assert "unknown tenant 'x'" in output
    assert output.endswith('{"amount": 1}\n')


def test_replay_hands_over_to_the_sensor(store: LocalObjectStore) -> None:
    run("replay", KEYS[0])
    assert [letter.message.id for _, letter in Inbox(store, "orders").replays(10)] == ["m/1"]
    assert len(letters(store)) == 2


def test_drop_asks_first(store: LocalObjectStore) -> None:
    run("drop", "--all", "--source", "orders")
    assert len(letters(store)) == 3
    run("drop", "--all", "--source", "orders", "--yes")
    assert letters(store) == [f"inbox/dead_letter/{KEYS[2]}.json"]


def test_an_unknown_key_changes_nothing(store: LocalObjectStore) -> None:
    with pytest.raises(NotFoundError, match="no dead letter 'orders/2026-01-31/m9'"):
        run("drop", "--yes", KEYS[1], "orders/2026-01-31/m9")
    assert len(letters(store)) == 3
    assert run("drop").exit_code == 2
