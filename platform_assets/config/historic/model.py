"""What a translation is made of, and the reading of old mappings in which no key is passed over in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from platform_assets.config.document import Document, Location, read_document, read_text
from platform_assets.config.historic.shapes import Shape
from platform_assets.config.reading import nearest, one_of
from platform_assets.engine.errors import Problem

T = TypeVar("T")

WAITS = "a failed table keeps its old slice, and what reads it waits"


@dataclass(frozen=True)
class Translation:
    """One old pipeline. ``files`` are the new ones by path below ``configs/``; none where shipped pipelines
    (``replaced_by``) do all of it, or where something was refused."""

    file: str
    shape: Shape
    files: Mapping[str, str] = field(default_factory=dict)
    replaced_by: tuple[str, ...] = ()
    remarks: tuple[Problem, ...] = ()
    refused: tuple[Problem, ...] = ()


@dataclass
class Old:
    """An old pipeline while it is being translated. ``root`` is the old configuration's folder."""

    root: Path
    document: Document
    shape: Shape
    files: dict[str, str] = field(default_factory=dict)
    replaced_by: list[str] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    refused: list[Problem] = field(default_factory=list)

    def remark(self, at: Location, reason: str) -> None:
        self.remarks.append(self.document.problem(at, reason))

    def refuse(self, at: Location, reason: str, guess: str | None = None) -> None:
        self.refused.append(self.document.problem(at, reason, guess))

    def keys(self, value: Any, at: Location) -> Keys:
        """A mapping of this document; anything else is refused and read as an empty one."""
        if isinstance(value, Mapping):
            return Keys(self, dict(value), at)
        if value is not None:
            self.refuse(at, "must be a mapping")
        return Keys(self, {}, at)

    def other_document(self, name: str, at: Location, beside: Path) -> Document | None:
        """A YAML file that this one refers to, relative to ``beside``; None where it cannot be read."""
        path = self._inside(name, at, beside)
        return read_document(path, self._name(path), self.refused) if path else None

    def other_text(self, name: str, at: Location, beside: Path) -> str | None:
        """A text file that this one refers to, relative to ``beside``."""
        path = self._inside(name, at, beside)
        return read_text(path, self._name(path), self.refused) if path else None

    def _inside(self, name: str, at: Location, beside: Path) -> Path | None:
        path = (beside / name).resolve()
        if path.is_relative_to(self.root.resolve()) and path.is_file():
            return path
        where = (
            "leads out of the configuration" if not path.is_relative_to(self.root.resolve()) else "is no file"
        )
        self.refuse(at, f"{name!r} {where}")
        return None

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root.resolve()).as_posix()

    def done(self) -> Translation:
        files = {} if self.refused else dict(sorted(self.files.items()))
        replaced = tuple(dict.fromkeys(self.replaced_by))
        return Translation(
            self.document.file, self.shape, files, replaced, tuple(self.remarks), tuple(self.refused)
        )


@dataclass
class Keys:
    """A mapping whose keys are taken one by one; ``end`` refuses those that nobody took."""

    old: Old
    value: dict[str, Any]
    at: Location
    taken: set[str] = field(default_factory=set)

    def take(self, key: str, kind: type[T], default: T) -> T:
        """The key's value; of another type, it is refused and the default taken. Null is the default."""
        self.taken.add(key)
        found = self.value.get(key)
        if found is None:
            return default
        if isinstance(found, kind) and not (kind is int and isinstance(found, bool)):
            return found
        self.old.refuse((*self.at, key), f"must be {_WORDS[kind]}, not {found!r}")
        return default

    def text(self, key: str, default: str = "") -> str:
        return self.take(key, str, default)

    def need(self, key: str) -> str:
        """A text that must be there."""
        found = self.text(key)
        if not found and self.value.get(key) is None:
            self.old.refuse((*self.at, key), "is missing")
        return found

    def mapping(self, key: str) -> Keys:
        return self.old.keys(self.take(key, dict, {}), (*self.at, key))

    def mappings(self, key: str) -> Iterator[Keys]:
        for index, item in enumerate(self.take(key, list, [])):
            yield self.old.keys(item, (*self.at, key, index))

    def texts(self, key: str) -> list[str]:
        """A list of texts; one text is a list of one."""
        value = self.value.get(key)
        self.taken.add(key)
        items = [value] if isinstance(value, str) else value or []
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return list(items)
        self.old.refuse((*self.at, key), "must be a name or a list of names")
        return []

    def has(self, key: str) -> bool:
        return self.value.get(key) is not None

    def drop(self, reasons: Mapping[str, str]) -> None:
        """Keys that have no place in the new form; each that is there is told with its reason."""
        for key, reason in reasons.items():
            self.taken.add(key)
            if self.has(key):
                self.old.remark((*self.at, key), reason)

    def end(self) -> None:
        for key in sorted(set(self.value) - self.taken):
            reason = f"is not known here; known: {one_of(self.taken)}"
            self.old.refuse((*self.at, key), reason, nearest(key, self.taken))


_WORDS: Mapping[type, str] = {
    str: "text",
    int: "a whole number",
    list: "a list",
    dict: "a mapping",
    bool: "true or false",
}
