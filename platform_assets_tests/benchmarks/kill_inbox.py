"""Kills the inbox everywhere: real sensor ticks and real runs, each a process of its own, ended by SIGKILL.

    python -m platform_assets_tests.benchmarks.kill_inbox [--kills 200] [--queue sqs|pubsub|both] [--seed 1]

Messages go into moto's SQS FIFO queue or Google's pstest Pub/Sub; objects into moto's S3; runs into a Dagster instance
on SQLite. Each round sends some messages, evaluates the sensor in one process, in some rounds in two at once (two
daemons, or a second code location by mistake, neither of which knows the other's run keys), and then executes every
run that was asked for in a process of its own, all at once. Somebody dies in each round: first whoever comes first to a
named step, for every step; then a random process at a random instant of its life, until ``--kills`` have died so.

At the end everything must have taken effect exactly once or be a dead letter exactly once, and queue and inbox must
be empty. Processes are forked from this one, which has imported all and opened nothing, so a life costs no imports.
What Dagster's run monitoring does in production, marking runs of dead processes as failed, the next tick's process
does. No clock decides about failure; rounds are counted.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import dagster as dg

from platform_assets.assets.inbox.apply import Step, no_step
from platform_assets.assets.inbox.sensor import NOT_ENDED
from platform_assets_tests.assets.inbox import location
from platform_assets_tests.benchmarks.kill_places import SPEC, Place, pubsub_place, sqs_place
from platform_assets_tests.servers import moto, pubsub

TICK_STEPS = (
    "before pull",
    "after pull",
    "before write",
    "between writes",
    "after write",
    "after ack",
    "before requests",
)
RUN_STEPS = (
    "before run",
    "before effects",
    "before an effect",
    "after an effect",
    "after effects",
    "after state",
    "after dead letters",
    "after history",
    "after settling",
    "after pause",
    "before publish",
)
STEPS = TICK_STEPS + RUN_STEPS
PER_ROUND = 12
TRIES_PER_STEP = 20
DRAINING_ROUNDS = 200
# SQLite waits for disks, and nobody cuts the power here.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
LIFE_TAG = "kill/life"
REHEARSAL = "rehearsal"


@dataclass
class Outcome:
    """What was counted. ``doubled``: effects and dead letters beyond the first of their message; ``waiting``: in queue
    or inbox at the end; ``accidents``: processes that ended by an error of their own, the last one's told."""

    sent: int = 0
    rounds: int = 0
    processes: int = 0
    kills: int = 0
    kills_at_steps: dict[str, int] = field(default_factory=dict)
    random_kills: dict[str, int] = field(default_factory=dict)
    runs_asked_for_again: int = 0
    effects: int = 0
    dead: int = 0
    lost: int = 0
    lost_bodies: list[str] = field(default_factory=list)
    doubled: int = 0
    waiting: int = 0
    accidents: int = 0
    last_accident: str = ""
    seconds: float = 0.0


def passed(outcome: Outcome) -> bool:
    return outcome.sent > 0 and outcome.lost == outcome.doubled == outcome.waiting == 0


# --- A life: one process, a tick or a run -----------------------------------------------------------------------------


def evaluate_tick(place: Place, step: Step, dead: Sequence[str], answer: Path) -> None:
    """Bury the dead runs, evaluate the sensor, and say which runs it asks for."""
    with _instance(place) as instance:
        _bury(instance, dead)
        requests = location.tick(_definitions(place, step), instance)
    said = [{"key": r.run_key, "partition": r.partition_key, "tags": dict(r.tags)} for r in requests]
    whole = answer.with_suffix(".part")
    whole.write_text(json.dumps(said))
    whole.replace(answer)


def execute_run(place: Place, step: Step, request: Mapping[str, Any], life: str) -> None:
    tags = {**request["tags"], LIFE_TAG: life}
    with _instance(place) as instance:
        step("before run")
        asked = dg.RunRequest(partition_key=request["partition"], tags=tags)
        location.run(_definitions(place, step), instance, asked)


def _instance(place: Place) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(place.home))


def _definitions(place: Place, step: Step) -> dg.Definitions:
    return location.definitions(place.adapters, SPEC, step, handle=counting_handler)


def counting_handler(store: Any, step: Step) -> Any:
    """The location's handler, and a note of every effect that was made, so that a doubled one would show."""

    class Noting:
        def put(self, key: str, data: bytes, *, if_absent: bool) -> str:
            etag: str = store.put(key, data, if_absent=if_absent)
            store.put(f"made/{key}/{os.getpid()}-{time.monotonic_ns()}", b"")
            return etag

    return location.handler(Noting(), step)


def _bury(instance: dg.DagsterInstance, dead: Sequence[str]) -> None:
    """What Dagster's run monitoring does with runs whose process is gone."""
    if not dead:
        return
    for record in instance.get_run_records(dg.RunsFilter(statuses=NOT_ENDED)):
        if record.dagster_run.tags.get(LIFE_TAG) in dead:
            instance.report_run_failed(record.dagster_run)


def fork(act: Callable[[], None], errors: Path) -> int:
    """A child that does nothing but ``act``; what it raises is told in ``errors``."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            warnings.simplefilter("ignore")
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            act()
            code = 0
        except BaseException:
            errors.write_text(traceback.format_exc())
        finally:
            os._exit(code)
    return child


# --- Rounds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Death:
    """Who dies in a round: whoever comes to ``step`` for the ``nth`` time; or the ``victim``-th process of a ``kind``
    after a ``share`` of the time that its like have taken to live."""

    step: str = ""
    nth: int = 1
    kind: str = ""
    victim: int = 0
    share: float = 0.0

    def reached(self) -> Step:
        """A step function for one process."""
        left = [self.nth]

        def step(name: str) -> None:
            if name == self.step:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        return step


@dataclass
class Harness:
    """The parent: it opens neither database nor gRPC, since it forks."""

    place: Place
    chance: random.Random
    outcome: Outcome = field(default_factory=Outcome)
    bodies: dict[str, str] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    lives: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    run_keys: list[set[str]] = field(default_factory=lambda: [set(), set()])

    def run(self, kills: int, steps: Sequence[str]) -> Outcome:
        began = time.monotonic()
        for name in steps:
            self._die_at(name)
        while sum(self.outcome.random_kills.values()) < kills:
            kind = self.chance.choice(("tick", "run"))
            share = self.chance.uniform(0.0, 1.0)
            self.round(Death(kind=kind, victim=self.chance.randrange(4), share=share))
            self._told()
        self._drain()
        self._count()
        self.outcome.seconds = round(time.monotonic() - began, 1)
        return self.outcome

    def _told(self) -> None:
        """Progress, on standard error."""
        told = f"round {self.outcome.rounds}: {self.outcome.kills} killed"
        print(told, end="\r", file=sys.stderr, flush=True)

    def _die_at(self, step: str) -> None:
        nth = self.chance.randint(1, 2)
        for _ in range(TRIES_PER_STEP):
            self.round(Death(step, nth))
            if step in self.outcome.kills_at_steps:
                return self._told()
            nth = 1
        raise AssertionError(f"nobody came to {step!r} in {TRIES_PER_STEP} rounds")

    def round(self, death: Death, *, send: bool = True) -> None:
        self.outcome.rounds += 1
        if send:
            self.place.send(self._messages())
        daemons = 2 if self.chance.random() < 0.25 else 1
        self._runs(death, self._ticks(death, daemons))

    def _ticks(self, death: Death, daemons: int) -> list[Mapping[str, Any]]:
        """The runs that each daemon would launch after its tick."""
        answers = [self.place.folder / f"requests-{number}.json" for number in range(daemons)]
        for answer in answers:
            answer.unlink(missing_ok=True)
        dead = list(self.dead)
        ticks = [partial(evaluate_tick, self.place, death.reached(), dead, answer) for answer in answers]
        self._live("tick", death, ticks)
        return [request for number, answer in enumerate(answers) for request in self._asked(number, answer)]

    def _runs(self, death: Death, requests: Sequence[Mapping[str, Any]]) -> None:
        lives = [f"{self.outcome.rounds}-{number}" for number in range(len(requests))]
        pairs = zip(requests, lives, strict=True)
        runs = [partial(execute_run, self.place, death.reached(), request, life) for request, life in pairs]
        ended = self._live("run", death, runs)
        self.dead += [life for life, well in zip(lives, ended, strict=True) if not well]

    def _asked(self, daemon: int, answer: Path) -> Iterator[Mapping[str, Any]]:
        """What the daemon launches: a run key that it has seen, it never launches again."""
        for request in json.loads(answer.read_text()) if answer.exists() else ():
            if request["key"] in self.run_keys[daemon]:
                self.outcome.runs_asked_for_again += 1
                continue
            self.run_keys[daemon].add(request["key"])
            yield request

    def _live(self, kind: str, death: Death, acts: Sequence[Callable[[], None]]) -> list[bool]:
        """Let processes live and die, all at once; whether each ended well."""
        errors = [self.place.folder / f"error-{kind}-{number}" for number in range(len(acts))]
        for error in errors:
            error.unlink(missing_ok=True)
        children = {fork(act, error): n for n, (act, error) in enumerate(zip(acts, errors, strict=True))}
        self.outcome.processes += len(children)
        began, ended = time.monotonic(), [False] * len(acts)
        victim = list(children)[death.victim % len(children)] if children and death.kind == kind else 0
        while children:
            if victim and time.monotonic() - began >= death.share * self._usual(kind):
                os.kill(victim, signal.SIGKILL)
                victim = 0
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                time.sleep(0.002)
                continue
            number = children.pop(pid)
            victim = 0 if pid == victim else victim
            ended[number] = self._ended(kind, death, status, errors[number])
            if ended[number]:
                self.lives[kind].append(time.monotonic() - began)
        return ended

    def _ended(self, kind: str, death: Death, status: int, error: Path) -> bool:
        if os.WIFSIGNALED(status):
            self.outcome.kills += 1
            found = self.outcome.kills_at_steps if death.step else self.outcome.random_kills
            name = death.step or kind
            found[name] = found.get(name, 0) + 1
        elif os.waitstatus_to_exitcode(status):
            self.outcome.accidents += 1
            self.outcome.last_accident = error.read_text()[-2000:] if error.exists() else "unknown"
        return status == 0

    def _usual(self, kind: str) -> float:
        """Seconds that the last processes of a kind lived: random instants fall into lives on any machine."""
        return mean(self.lives[kind][-10:]) if self.lives[kind] else 0.5

    def _messages(self) -> list[str]:
        """New ones, of which some are malformed or poisonous, and some that were sent before."""
        found, day = [], self.chance.choice(location.DAYS)
        for _ in range(PER_ROUND):
            kind = self.chance.choices(("good", "malformed", "poison", "again"), (80, 7, 3, 10))[0]
            good = [body for body in self.bodies.values() if '"good"' in body]
            if kind == "again" and good:
                found.append(self.chance.choice(good))
                continue
            id_ = f"m{len(self.bodies):06d}"
            self.bodies[id_] = self._body(id_, kind, day)
            found.append(self.bodies[id_])
        return found

    def _body(self, id_: str, kind: str, day: str) -> str:
        if kind == "malformed":
            return f"{{{id_}"
        where = {"tenant": self.chance.choice(location.TENANTS), "date": day}
        return json.dumps({"id": id_, "kind": "poison" if kind == "poison" else "good", **where})

    def _drain(self) -> None:
        """Rounds without deaths and new messages until nothing waits anywhere."""
        for _ in range(DRAINING_ROUNDS):
            self.round(Death(), send=False)
            self.outcome.waiting = self.place.left() or self._counted()["waiting"]
            if self.outcome.waiting == 0:
                return
            time.sleep(self.place.lease_seconds / 3)

    def _count(self) -> None:
        for name, value in self._counted().items():
            setattr(self.outcome, name, value)

    def _counted(self) -> dict[str, Any]:
        """In a child, which may open clients; it answers through a file."""
        answer = self.place.folder / "counts.json"
        answer.unlink(missing_ok=True)
        child = fork(
            lambda: _write(answer, counts(self.place, self.bodies)), self.place.folder / "error-count"
        )
        os.waitpid(child, 0)
        found: dict[str, Any] = json.loads(answer.read_text())
        return found


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def counts(place: Place, bodies: Mapping[str, str]) -> dict[str, Any]:
    from platform_assets.assets.inbox.store import Inbox
    from platform_assets.resources.bindings import create

    _, kind, settings = place.adapters["object_store"]
    store = create("object_store", kind, settings)
    inbox = Inbox(store, "orders")
    good = {id_ for id_, body in bodies.items() if '"good"' in body} | {REHEARSAL}
    bad = {body for id_, body in bodies.items() if id_ not in good}
    made = Counter(info.key.split("/")[2] for info in store.list("made/effects/"))
    effects = {info.key.split("/")[1] for info in store.list("effects/")}
    letters = Counter(letter.message.body.decode() for _, letter in inbox.dead_letters())
    lost = sorted(bodies.get(id_, id_) for id_ in good - effects) + sorted(bad - set(letters))
    return {
        "sent": len(bodies),
        "effects": len(effects),
        "dead": letters.total(),
        "lost": len(lost),
        "lost_bodies": lost[:10],
        "doubled": _beyond_first(made)
        + _beyond_first(letters)
        + len(effects - good)
        + len(set(letters) - bad),
        "waiting": inbox.sizes()["messages_waiting"],
    }


def _beyond_first(found: Counter[str]) -> int:
    return found.total() - len(found)


def rehearse(place: Place) -> None:
    """Import what a tick and a run import, found out by a child that lives through both; else every life would."""
    names = place.folder / "modules.json"

    def act() -> None:
        answer = place.folder / "rehearsal.json"
        evaluate_tick(place, no_step, [], answer)
        for request in json.loads(answer.read_text()):
            execute_run(place, no_step, request, REHEARSAL)
        _write(names, sorted(sys.modules))

    place.send([json.dumps({"id": REHEARSAL, "tenant": location.TENANTS[0], "date": location.DAYS[0]})])
    error = place.folder / "error-rehearsal"
    os.waitpid(fork(act, error), 0)
    if error.exists():
        raise RuntimeError(f"the rehearsal failed\n{error.read_text()}")
    for name in json.loads(names.read_text()):
        with suppress(Exception):  # what cannot be imported by its name alone, each child makes itself
            importlib.import_module(name)


@contextmanager
def places(queue: str) -> Iterator[Place]:
    os.environ |= moto.CREDENTIALS
    folder = Path(tempfile.mkdtemp(prefix="kill-", dir=MEMORY))
    try:
        with ExitStack() as stack:
            url = stack.enter_context(moto.serving())
            if queue == "sqs":
                yield sqs_place(url, folder)
            else:
                yield pubsub_place(url, stack.enter_context(pubsub.serving()), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--queue", choices=("sqs", "pubsub", "both"), default="both")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=STEPS)
    options = parser.parse_args()
    if options.queue == "both":
        sys.exit(_both(options.kills, options.seed, options.steps))
    with places(options.queue) as place:
        rehearse(place)
        outcome = Harness(place, random.Random(options.seed)).run(options.kills, options.steps)
    print(json.dumps({"queue": options.queue, **asdict(outcome)}), flush=True)
    if not passed(outcome):
        raise SystemExit("messages were lost or doubled")


def _both(kills: int, seed: int, steps: Sequence[str]) -> int:
    """Half of the deaths on each, at the same time, as a tick keeps one core busy only."""
    halves = {"sqs": kills - kills // 2, "pubsub": kills // 2}
    command = [sys.executable, "-m", "platform_assets_tests.benchmarks.kill_inbox", "--seed", str(seed)]
    running = [
        subprocess.Popen([*command, "--queue", queue, "--kills", str(half), "--steps", *steps])
        for queue, half in halves.items()
    ]
    codes = [process.wait() for process in running]
    return int(any(codes))


if __name__ == "__main__":
    main()
