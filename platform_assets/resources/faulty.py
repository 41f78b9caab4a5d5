"""Any port with faults put in: fail the n-th call, before or after its effect, or kill the process there.

For tests of what stands on a port: nothing may be lost or counted twice at whatever instant something breaks.
The wrapped adapter does the real work, so a fault "after" leaves its effect behind, as a lost answer does.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, cast

from platform_assets.engine.errors import RetryableError

T = TypeVar("T")
ANY = "*"


class When(StrEnum):
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Fault:
    """Strike call number ``call`` (from 1) of ``method``; ``"*"`` counts the calls of all methods together.

    ``error`` is raised there; None means that the process dies at once, with nothing flushed or closed.
    """

    method: str
    call: int
    when: When = When.BEFORE
    error: Exception | None = field(
        default_factory=lambda: RetryableError("injected fault", effect_unknown=True)
    )


def fail(method: str, call: int = 1, when: When = When.BEFORE, error: Exception | None = None) -> Fault:
    """Raise ``error`` there, or a RetryableError whose effect is unknown."""
    return Fault(method, call, when, error) if error else Fault(method, call, when)


def kill(method: str, call: int = 1, when: When = When.BEFORE) -> Fault:
    """End the process there, as ``kill -9`` does."""
    return Fault(method, call, when, None)


def faulty(adapter: T, *faults: Fault) -> T:
    """The adapter with its public methods counted and struck. ``calls(result)`` tells what was called.

    A fault on a method that the adapter does not have is a ValueError: it could never strike.
    """
    for fault in faults:
        if fault.method != ANY and not callable(getattr(adapter, fault.method, None)):
            raise ValueError(f"{type(adapter).__name__} has no method {fault.method!r} to strike")
    return cast(T, _Faulty(adapter, faults))


def calls(adapter: object) -> Sequence[str]:
    """The methods called on a ``faulty`` adapter, in order."""
    return tuple(vars(adapter)["_called"])


class _Faulty:
    def __init__(self, adapter: object, faults: Sequence[Fault]) -> None:
        self._adapter = adapter
        self._faults = faults
        self._counts: Counter[str] = Counter()
        self._called: list[str] = []
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._adapter, name)
        return self._counted(name, value) if callable(value) and not name.startswith("_") else value

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            mine = self._due(name)
            _strike(mine, When.BEFORE)
            result = method(*args, **kwargs)
            _strike(mine, When.AFTER)
            return result

        return call

    def _due(self, name: str) -> list[Fault]:
        with self._lock:
            self._called.append(name)
            self._counts.update((name, ANY))
            return [f for f in self._faults if f.method in (name, ANY) and f.call == self._counts[f.method]]


def _strike(faults: Sequence[Fault], when: When) -> None:
    for fault in faults:
        if fault.when is when:
            if fault.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                raise fault.error
