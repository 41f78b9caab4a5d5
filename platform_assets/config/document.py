"""YAML files as plain values in which every value knows its line.

Built from libyaml's event stream, because ``compose()`` recurses in C and dies on a deeply nested file.
Scalars follow the YAML 1.2 core schema, as editors do: ``yes`` and ``12:30`` are text, ``2026-01-31``
is a date. Refused, each with its line: syntax errors, text that is not UTF-8, duplicate keys, keys that are
not text, anchors and aliases (so nothing can multiply itself), tags, several documents in one file, files
over 1 MB, nesting over 32 levels.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from platform_assets.engine.errors import Problem

Location: TypeAlias = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_DEPTH = 32

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Document:
    """One file's content. ``lines`` maps the path of every key and item to its 1-based line."""

    file: str
    value: Any
    lines: Mapping[Location, int]

    def line(self, location: Location) -> int:
        """The line of a place, or of the nearest enclosing place that stands in the file."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)

    def problem(self, location: Location, reason: str, nearest: str | None = None) -> Problem:
        return Problem(self.file, self.line(location), field_path(location), reason, nearest)


def field_path(location: Location) -> str:
    """``("steps", 0, "source")`` → ``steps[0].source``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_document(path: Path, file: str, problems: list[Problem]) -> Document | None:
    """Read one YAML file; what is wrong with it goes to ``problems`` under the name ``file``."""
    text = read_text(path, file, problems)
    return None if text is None else parse_document(text, file, problems)


def read_text(path: Path, file: str, problems: list[Problem]) -> str | None:
    """A file's text, or None with the reason in ``problems``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        problems.append(Problem(file, 1, "", f"cannot be read: {error.strerror}"))
        return None
    if len(data) > MAX_BYTES:
        problems.append(Problem(file, 1, "", f"is {len(data):,} bytes long; the most is {MAX_BYTES:,}"))
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.append(Problem(file, line, "", "is not UTF-8 text"))
        return None


def parse_document(text: str, file: str, problems: list[Problem]) -> Document | None:
    """Parse YAML text; every problem of structure is reported, the first syntax error ends the reading."""
    reader = _Reader(text, file, problems)
    found_before = len(problems)
    try:
        value = reader.document()
    except yaml.YAMLError as error:
        problems.append(_syntax_problem(error, file, last_line=text.rstrip().count("\n") + 1))
        return None
    except _Refused as refused:
        problems.append(refused.problem)
        return None
    if len(problems) == found_before and value is None:
        problems.append(Problem(file, 1, "", "is empty"))
    return None if len(problems) > found_before else Document(file, value, reader.lines)


def _syntax_problem(error: yaml.YAMLError, file: str, *, last_line: int) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return Problem(file, min(mark.line + 1, last_line) if mark else 1, "", f"is not valid YAML: {what}")


class _Refused(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


class _Reader:
    """Builds values from events. Recursion is bounded by MAX_DEPTH, unlike the file."""

    def __init__(self, text: str, file: str, problems: list[Problem]) -> None:
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._file = file
        self._problems = problems
        self.lines: dict[Location, int] = {}

    def document(self) -> Any:
        next(self._events)  # stream start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), ())
        next(self._events)  # document end
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._report(after, (), "holds several documents; split the file")
        return value

    def _value(self, event: Any, at: Location) -> Any:
        self._refuse_anchors_and_tags(event, at)
        self.lines.setdefault(at, event.start_mark.line + 1)
        if isinstance(event, yaml.ScalarEvent):
            return _plain(event.value) if event.implicit[0] else event.value
        if len(at) >= MAX_DEPTH:
            raise _Refused(self._problem(event, (), f"is nested deeper than {MAX_DEPTH} levels"))
        return self._mapping(at) if isinstance(event, yaml.MappingStartEvent) else self._sequence(at)

    def _sequence(self, at: Location) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*at, len(items))))
        return items

    def _mapping(self, at: Location) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, at)
            place = (*at, key)
            if key in mapping:
                self._report(event, place, f"stands twice; the first is in line {self.lines[place]}")
            self.lines.setdefault(place, event.start_mark.line + 1)
            mapping[key] = self._value(next(self._events), place)
        return mapping

    def _key(self, event: Any, at: Location) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise _Refused(self._problem(event, at, "has a key that is a list or a mapping; keys are text"))
        self._refuse_anchors_and_tags(event, at)
        if event.value == "<<":
            self._report(event, at, "uses a merge key (<<), which is not supported; write the values out")
        key = _plain(event.value) if event.implicit[0] else event.value
        if not isinstance(key, str):
            self._report(event, at, f"has the key {event.value}, which is not text; put it in quotes")
        return str(event.value)

    def _refuse_anchors_and_tags(self, event: Any, at: Location) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _Refused(self._problem(event, at, "uses an anchor or alias, which is not supported"))
        if event.tag is not None:
            raise _Refused(self._problem(event, at, f"uses the tag {event.tag}, which is not supported"))

    def _problem(self, event: Any, at: Location, reason: str) -> Problem:
        return Problem(self._file, event.start_mark.line + 1, field_path(at), reason)

    def _report(self, event: Any, at: Location, reason: str) -> None:
        self._problems.append(self._problem(event, at, reason))


def _plain(text: str) -> Any:
    """An unquoted scalar by the YAML 1.2 core schema, and ISO dates."""
    if text[:1] not in _SPECIAL_FIRST:
        return text
    for pattern, meaning in _MEANINGS:
        if pattern.fullmatch(text):
            return meaning(text)
    return text


def _date_or_text(text: str) -> Any:
    """A calendar date; 2026-02-30 stays text, and the field that wants a date says so."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text


_MEANINGS: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (re.compile(r"|~|null|Null|NULL"), lambda _: None),
    (re.compile(r"true|True|TRUE"), lambda _: True),
    (re.compile(r"false|False|FALSE"), lambda _: False),
    (re.compile(r"[-+]?[0-9]{1,30}"), int),
    (re.compile(r"0x[0-9a-fA-F]{1,16}"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), _date_or_text),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: -math.inf if text[0] == "-" else math.inf),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda _: math.nan),
)
_SPECIAL_FIRST = frozenset(["", *"~nNtTfF0123456789+-."])


class _LazyLines(Mapping[Location, int]):
    """Lines of a JSON text, found only once somebody asks: a file without problems never needs them."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def _lines(self) -> Mapping[Location, int]:
        document = parse_document(self._text.replace("\t", " "), "", [])
        return document.lines if document else {}

    def __getitem__(self, key: Location) -> int:
        return self._lines[key]

    def __iter__(self) -> Iterator[Location]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def read_json_document(path: Path, file: str, problems: list[Problem]) -> Document | None:
    """Read one JSON file, duplicate keys refused."""
    text = read_text(path, file, problems)
    if text is None:
        return None
    twice: list[str] = []
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, twice))
    except json.JSONDecodeError as error:
        problems.append(Problem(file, error.lineno, "", f"is not valid JSON: {error.msg}"))
        return None
    except RecursionError:
        problems.append(Problem(file, 1, "", "is nested too deep"))
        return None
    if twice:
        found: list[Problem] = []
        parse_document(text.replace("\t", " "), file, found)
        problems.extend(found or [Problem(file, 1, key, "stands twice") for key in twice])
        return None
    return Document(file, value, _LazyLines(text))


def _unique(pairs: list[tuple[str, Any]], twice: list[str]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice += sorted({name for name in names if names.count(name) > 1})
    return value
