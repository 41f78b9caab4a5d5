import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from platform_assets.ports import OutboundMessage
from platform_assets.resources.queue.local import LocalQueue, LocalQueueSettings

SPAWN = multiprocessing.get_context("spawn")


def queue(folder: Path, **settings: object) -> LocalQueue:
    return LocalQueue(LocalQueueSettings(root=str(folder / "queue"), **settings))


def texts(*bodies: str, group: str | None = None) -> list[OutboundMessage]:
    return [OutboundMessage(body.encode(), {}, group) for body in bodies]


def _drain(folder: Path, number: int) -> None:
    mine = queue(folder)
    while messages := mine.pull(3):
        with (folder / f"got-{number}").open("ab") as file:
            file.write(b"".join(message.body + b"\n" for message in messages))
        assert list(mine.ack(messages)) == []


def test_processes_share_a_queue(tmp_path: Path) -> None:
    queue(tmp_path).send(texts(*(f"{n:03d}" for n in range(200))))
    children = [SPAWN.Process(target=_drain, args=(tmp_path, number)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    got = b"".join(path.read_bytes() for path in tmp_path.glob("got-*")).split()
    assert sorted(got) == [f"{n:03d}".encode() for n in range(200)]


SENDER = """
import sys
from platform_assets.ports import OutboundMessage
from platform_assets.resources.queue.local import LocalQueue, LocalQueueSettings
queue = LocalQueue(LocalQueueSettings(root=sys.argv[1]))
for n in range(1_000_000):
    [id_] = queue.send([OutboundMessage(b"x" * 1000)])
    print(id_, flush=True)
"""
WORKER = """
import sys
from platform_assets.resources.queue.local import LocalQueue, LocalQueueSettings
queue = LocalQueue(LocalQueueSettings(root=sys.argv[1], visibility_seconds=1))
print("ready", flush=True)
while True:
    messages = queue.pull(2)
    queue.ack(messages)
    for message in messages:
        print(message.id, flush=True)
"""


def killed_after(program: str, folder: Path, lines: int) -> list[str]:
    """What a process said before it was killed, some time after it had said so many lines."""
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(folder / "queue")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
    )
    assert child.stdout is not None
    said = [child.stdout.readline().strip() for _ in range(lines)]
    os.kill(child.pid, signal.SIGKILL)
    said += child.stdout.read().split()
    child.stdout.close()
    child.wait()
    return said


@pytest.mark.parametrize("lines", [1, 17])
def test_what_was_sent_before_a_kill_is_there(tmp_path: Path, lines: int) -> None:
    sent = killed_after(SENDER, tmp_path, lines)
    arrived = [message.id for message in queue(tmp_path).pull(1_000_000)]
    assert arrived[: len(sent)] == sent
    assert len(arrived) - len(sent) <= 1  # the one under way
    assert queue(tmp_path).dead_letters() == []


@pytest.mark.parametrize("lines", [3, 18])
def test_a_killed_worker_loses_nothing(tmp_path: Path, lines: int) -> None:
    mine = queue(tmp_path, visibility_seconds=1)
    ids = set(mine.send(texts(*(str(n) for n in range(300)))))
    acked = set(killed_after(WORKER, tmp_path, lines)) - {"ready"}
    time.sleep(1.1)
    left = {message.id for message in mine.pull(1000)}
    assert left.isdisjoint(acked)
    assert len(ids - left - acked) <= 2  # acked, but killed before saying so


def test_an_ack_after_the_lease_is_reported_and_the_message_stays(tmp_path: Path) -> None:
    mine = queue(tmp_path, visibility_seconds=0.05)
    mine.send(texts("slow"))
    [message] = mine.pull(1)
    time.sleep(0.06)
    assert list(mine.ack([message])) == [message]
    mine.extend([message], 60)
    mine.nack([message])
    [again] = mine.pull(1)
    assert (again.id, again.attempts) == (message.id, 2)


def test_the_lease_counts_from_each_pull_and_attempts_end(tmp_path: Path) -> None:
    mine = queue(tmp_path, visibility_seconds=0.02, max_attempts=2)
    mine.send(texts("poison", "other"))
    for attempt in (1, 2):
        assert [message.attempts for message in mine.pull(2)] == [attempt, attempt]
        time.sleep(0.03)
    assert list(mine.pull(2)) == []
    assert [message.body for message in mine.dead_letters()] == [b"poison", b"other"]


def test_a_dead_letter_can_be_put_back(tmp_path: Path) -> None:
    mine = queue(tmp_path, max_attempts=1)
    mine.send(texts("poison"))
    mine.nack(mine.pull(1))
    [path] = (tmp_path / "queue/dead").iterdir()
    path.rename(tmp_path / "queue/ready" / path.name)
    assert [message.body for message in mine.pull(1)] == [b"poison"]


def test_damaged_and_foreign_files_do_not_stand_in_the_way(tmp_path: Path) -> None:
    mine = queue(tmp_path)
    mine.send(texts("first", "second", "third"))
    ready = tmp_path / "queue/ready"
    first, second, _ = sorted(ready.iterdir())
    first.write_bytes(b'{"id": "1", "body"')
    second.write_bytes(b'["a list"]')
    (ready / "notes.txt").write_text("not a message")
    assert [message.body for message in mine.pull(10)] == [b"third"]
    assert len(list((tmp_path / "queue/dead").iterdir())) == 2
    assert (ready / "notes.txt").exists()


def test_order_survives_a_clock_that_runs_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, now = queue(tmp_path), time.time_ns()
    for number, step in enumerate((0, -(10**12), 5, -5)):
        monkeypatch.setattr(time, "time_ns", lambda step=step: now + step)
        mine.send(texts(str(number)))
    assert [message.body for message in mine.pull(10)] == [b"0", b"1", b"2", b"3"]


def test_groups_that_wait_do_not_hold_up_others(tmp_path: Path) -> None:
    mine = queue(tmp_path)
    mine.send(texts("a1", "a2", group="a") + texts("free 1", "free 2"))
    assert [message.body for message in mine.pull(1)] == [b"a1"]
    assert [message.body for message in mine.pull(10)] == [b"free 1", b"free 2"]
    mine.send(texts("b1", group="b"))
    assert [message.body for message in mine.pull(10)] == [b"b1"]
