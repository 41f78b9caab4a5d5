"""What is wrong with an expression, and exactly where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from platform_assets.engine.errors import DataError

Location: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Fault:
    """One mistake. ``location`` is the way from the expression's root: ``("left", "operands", 1, "window")``."""

    location: Location
    reason: str
    nearest: str | None = None

    @property
    def position(self) -> str:
        """The location as people write it: ``$.left.operands[1].window``."""
        return "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.location)

    def __str__(self) -> str:
        hint = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        return f"{self.position}: {self.reason}{hint}"


class ExpressionError(DataError):
    """An expression that cannot be evaluated; carries every fault found, in reading order."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was probably meant to be."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)
