import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_assets.engine.errors import ConflictError, DataError, QuotaError, RejectedError
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings

SPAWN = multiprocessing.get_context("spawn")
PROCESSES = 3


def store(folder: Path) -> LocalObjectStore:
    return LocalObjectStore(LocalObjectStoreSettings(root=str(folder / "objects")))


def in_processes(target: Callable[..., None], *arguments: object) -> list[int | None]:
    children = [SPAWN.Process(target=target, args=(*arguments, number)) for number in range(PROCESSES)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    return [child.exitcode for child in children]


def _claim(folder: Path, number: int) -> None:
    for n in range(50):
        try:
            store(folder).put(f"claims/{n}", str(number).encode(), if_absent=True)
            store(folder).put(f"won/{n}/{number}", b"")
        except ConflictError:
            pass


def test_one_process_wins_each_conditional_create(tmp_path: Path) -> None:
    assert in_processes(_claim, tmp_path) == [0] * PROCESSES
    won = [info.key.split("/")[1:] for info in store(tmp_path).list("won/")]
    assert sorted(int(n) for n, _ in won) == list(range(50))
    for n, winner in won:
        assert store(tmp_path).get(f"claims/{n}") == winner.encode()


def _count(folder: Path, _number: int) -> None:
    counter, done = store(folder), 0
    while done < 50:
        info = counter.stat("counter")
        assert info is not None
        value = int(counter.get("counter"))
        try:
            counter.put("counter", str(value + 1).encode(), if_match=info.etag)
            done += 1
        except ConflictError:
            pass


def test_no_update_is_lost_between_processes(tmp_path: Path) -> None:
    # Same length all the time, so that size cannot tell versions apart.
    store(tmp_path).put("counter", b"1000")
    assert in_processes(_count, tmp_path) == [0] * PROCESSES
    assert store(tmp_path).get("counter") == str(1000 + 50 * PROCESSES).encode()


def test_quick_writes_of_one_size_have_versions_of_their_own(tmp_path: Path) -> None:
    etags = [store(tmp_path).put("key", b"same") for _ in range(200)]
    assert len(set(etags)) == 200


def _die_in_the_middle(folder: Path, _number: int) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * 100_000
        os.kill(os.getpid(), signal.SIGKILL)

    store(folder).put("key", chunks())


def test_a_killed_writer_leaves_the_old_object_and_its_rest_is_swept(tmp_path: Path) -> None:
    store(tmp_path).put("key", b"old")
    assert in_processes(_die_in_the_middle, tmp_path) == [-signal.SIGKILL] * PROCESSES
    assert store(tmp_path).get("key") == b"old"
    assert [info.key for info in store(tmp_path).list("")] == ["key"]
    rests = list((tmp_path / "objects/.store/tmp").iterdir())
    assert len(rests) == PROCESSES
    os.utime(rests[0], (time.time() - 100_000, time.time() - 100_000))
    store(tmp_path).put("other", b"")
    assert sorted((tmp_path / "objects/.store/tmp").iterdir()) == sorted(rests[1:])


def test_a_key_cannot_be_another_keys_folder(tmp_path: Path) -> None:
    objects = store(tmp_path)
    objects.put("a", b"")
    objects.put("b/c", b"")
    for key in ("a/x", "b"):
        with pytest.raises(RejectedError, match="another key's folder"):
            objects.put(key, b"")
        objects.delete([key])
        assert objects.stat(key) is None
    assert [info.key for info in objects.list("")] == ["a", "b/c"]


def test_its_own_files_are_no_objects(tmp_path: Path) -> None:
    objects = store(tmp_path)
    objects.put("a", b"")
    assert [info.key for info in objects.list(".")] == []
    for key in (".store/locks/001", ".store"):
        with pytest.raises(DataError, match="reserved"):
            objects.get(key)


def test_deleting_the_last_object_removes_its_folders(tmp_path: Path) -> None:
    objects = store(tmp_path)
    objects.put("a/b/c", b"")
    objects.put("a/d", b"")
    objects.delete(["a/b/c"])
    assert sorted(path.name for path in (tmp_path / "objects/a").iterdir()) == ["d"]


def test_a_full_disk_is_told_as_such_and_leaves_nothing(tmp_path: Path) -> None:
    objects = store(tmp_path)
    objects.put("small", b"x")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(QuotaError, match="big"):
            objects.put("big", b"x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert [info.key for info in objects.list("")] == ["small"]
    assert list((tmp_path / "objects/.store/tmp").iterdir()) == []


def test_listing_looks_only_where_keys_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in range(30):
        for number in range(10):
            path = tmp_path / f"objects/inbox/day={day:02d}/{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    scanned: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: scanned.append(str(path)) or scandir(path))
    assert len(list(store(tmp_path).list("inbox/day=07/"))) == 10
    assert len(scanned) == 1
    scanned.clear()
    assert len(list(store(tmp_path).list("inbox/", start_after="inbox/day=27/4"))) == 25
    assert len(scanned) == 4
    scanned.clear()
    assert next(store(tmp_path).list("inbox/")).key == "inbox/day=00/0"
    assert len(scanned) == 2
