import multiprocessing
import signal
from pathlib import Path

import pytest

from platform_assets.engine.errors import ConflictError, RetryableError
from platform_assets.ports import ObjectStore
from platform_assets.resources.faulty import Fault, When, calls, fail, faulty, kill
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings


def store(folder: Path, *faults: Fault) -> ObjectStore:
    return faulty(LocalObjectStore(LocalObjectStoreSettings(root=str(folder))), *faults)


def test_without_faults_nothing_changes(tmp_path: Path) -> None:
    wrapped = store(tmp_path)
    wrapped.put("a", b"1")
    assert wrapped.get("a") == b"1"
    assert [info.key for info in wrapped.list("")] == ["a"]
    assert calls(wrapped) == ("put", "get", "list")


def test_before_has_no_effect(tmp_path: Path) -> None:
    wrapped = store(tmp_path, fail("put"))
    with pytest.raises(RetryableError) as caught:
        wrapped.put("a", b"1")
    assert caught.value.effect_unknown
    assert wrapped.stat("a") is None
    wrapped.put("a", b"1")


def test_after_has_its_effect(tmp_path: Path) -> None:
    wrapped = store(tmp_path, fail("put", when=When.AFTER))
    with pytest.raises(RetryableError):
        wrapped.put("a", b"1", if_absent=True)
    assert wrapped.get("a") == b"1"
    with pytest.raises(ConflictError):
        wrapped.put("a", b"1", if_absent=True)


def test_only_the_named_call_is_struck(tmp_path: Path) -> None:
    wrapped = store(tmp_path, fail("put", 2, error=KeyError("boom")), fail("*", 4))
    wrapped.put("a", b"1")
    with pytest.raises(KeyError, match="boom"):
        wrapped.put("b", b"1")
    wrapped.put("b", b"1")
    with pytest.raises(RetryableError):
        wrapped.get("a")
    wrapped.get("a")


def test_a_fault_that_could_never_strike_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="LocalObjectStore has no method 'putt'"):
        store(tmp_path, fail("putt"))


@pytest.mark.parametrize(("when", "left"), [(When.BEFORE, ["a"]), (When.AFTER, ["a", "b"])])
def test_killing_the_process(tmp_path: Path, when: When, left: list[str]) -> None:
    child = multiprocessing.get_context("spawn").Process(
        target=_put_three, args=(tmp_path, kill("put", 2, when))
    )
    child.start()
    child.join(30)
    assert child.exitcode == -signal.SIGKILL
    assert [info.key for info in store(tmp_path).list("")] == left


def _put_three(folder: Path, fault: Fault) -> None:
    wrapped = store(folder, fault)
    for key in ("a", "b", "c"):
        wrapped.put(key, b"1")
