"""Packs: named sets of rules that a suite takes in whole with ``{pack: focus_1_2}``.

``except`` leaves rules out by name; ``severity`` overrides the rules' own. An unknown pack or rule is a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from platform_assets.engine.quality.condition import nearest_name
from platform_assets.engine.quality.focus import focus_1_2
from platform_assets.engine.quality.model import SuiteProblem
from platform_assets.engine.schema.model import TableSchema

Entry = dict[str, Any]
PACKS: Mapping[str, Callable[[TableSchema], list[Entry]]] = {"focus_1_2": focus_1_2}
_ARGUMENTS = ("pack", "type", "except", "severity")


def pack_of(entry: Mapping[str, Any]) -> str | None:
    """The pack an entry names, as ``pack: name`` or ``type: name``."""
    if "pack" in entry:
        return str(entry["pack"])
    named = entry.get("type")
    return named if isinstance(named, str) and named in PACKS else None


def expand(
    index: int, entry: Mapping[str, Any], schema: TableSchema
) -> tuple[list[Entry], list[SuiteProblem]]:
    """The rules of the pack that the entry at ``index`` names, and what is wrong with the entry."""
    pack = PACKS.get(str(pack_of(entry)))
    if pack is None:
        nearest = nearest_name(str(entry.get("pack")), tuple(PACKS))
        return [], [SuiteProblem(index, "pack", f"unknown pack {entry.get('pack')!r}", nearest)]
    rules = pack(schema)
    problems = [*_argument_problems(index, entry), *_exception_problems(index, entry, rules)]
    left_out = set(_exceptions(entry))
    severity = {"severity": entry["severity"]} if "severity" in entry else {}
    return [{**rule, **severity} for rule in rules if _short(rule) not in left_out], problems


def _short(rule: Entry) -> str:
    return str(rule["name"]).partition("__")[2]


def _exceptions(entry: Mapping[str, Any]) -> list[str]:
    given = entry.get("except", [])
    return [str(name) for name in given] if isinstance(given, list) else [str(given)]


def _argument_problems(index: int, entry: Mapping[str, Any]) -> Iterator[SuiteProblem]:
    for key in entry:
        if key not in _ARGUMENTS:
            yield SuiteProblem(index, key, "unknown argument of a pack", nearest_name(key, _ARGUMENTS))


def _exception_problems(index: int, entry: Mapping[str, Any], rules: list[Entry]) -> Iterator[SuiteProblem]:
    known = tuple(_short(rule) for rule in rules)
    for name in _exceptions(entry):
        if name not in known:
            yield SuiteProblem(
                index, "except", f"no such rule in the pack: {name!r}", nearest_name(name, known)
            )
