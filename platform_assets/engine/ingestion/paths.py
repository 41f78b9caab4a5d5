"""Where things stand in a JSON answer: ``data[].results[]``, ``amount.value``, ``$.data[].start_time``.

Owns the path grammar. Refuses anything cleverer (filters, indexes, wildcards): a path always means one place.

* keys are separated by dots; ``[]`` after a key means "each element of"; ``[]`` alone is a top-level list;
* ``$`` is the page, ``.`` alone is the record itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_KEY = re.compile(r"[^.\[\]$\s][^.\[\]]*")


@dataclass(frozen=True)
class Path:
    """``levels``: the keys leading to each ``[]``; ``tail``: the keys after the last one.

    ``data[].results[].amount`` → levels ``(("data",), ("results",))``, tail ``("amount",)``.
    """

    text: str
    levels: tuple[tuple[str, ...], ...]
    tail: tuple[str, ...]


def parse_path(text: str) -> Path:
    """Raises ValueError, in words, where ``text`` is no path."""
    body = text.removeprefix("$").removeprefix(".")
    if not text or (not body and text not in {"$", "."}):
        raise ValueError(f"{text!r} is not a path")
    *parts, tail = body.split("[]")
    levels = tuple(_keys(part if i == 0 else part.removeprefix("."), text) for i, part in enumerate(parts))
    return Path(text, levels, _keys(tail.removeprefix(".") if parts else tail, text))


def _keys(text: str, whole: str) -> tuple[str, ...]:
    keys = tuple(text.split(".")) if text else ()
    bad = next((key for key in keys if not _KEY.fullmatch(key)), None)
    if bad is not None:
        raise ValueError(
            f"{whole!r} is not a path: {bad!r} cannot be a key; write keys.and.lists[].like.this"
        )
    return keys


def relative(text: str) -> bool:
    """Whether a column's path starts at the record (``amount.value``) and not at the page (``$…``)."""
    return not text.startswith("$")


def encloses(outer: Path, records: Path) -> bool:
    """Whether ``outer`` (``$.data[].start_time``) encloses every record of ``records``."""
    return outer.levels == records.levels[: len(outer.levels)]


def path_problems(records_path: str, columns: dict[str, str], ignore: list[str]) -> tuple[str, ...]:
    """Every reason why these paths cannot be used together; empty when they can."""
    problems = []
    parsed: dict[str, Path] = {}
    for name, text in [
        ("records_path", records_path),
        *columns.items(),
        *((f"ignore {i}", i) for i in ignore),
    ]:
        try:
            parsed[name] = parse_path(text)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    for name, path in parsed.items():
        problems.extend(_misplaced(name, path, parsed.get("records_path")))
    return tuple(problems)


def _misplaced(name: str, path: Path, records: Path | None) -> list[str]:
    if name == "records_path":
        return []
    if name.startswith("ignore ") and not (relative(path.text) and path.tail):
        return [f"{name}: {path.text!r} must name a field of the record"]
    if relative(path.text):
        return [f"{name}: {path.text!r} may not contain []; a record gives one value"] if path.levels else []
    if records is not None and not encloses(path, records):
        return [f"{name}: {path.text!r} does not enclose the records at {records.text!r}"]
    return []
