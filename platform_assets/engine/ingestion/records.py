"""A page's bytes to Arrow columns of the step's table.

Owns decoding, the walk to the records, the mapping of columns to paths, and what becomes of fields nobody mapped.
Refuses a page that is not whole JSON, and a records path that is not there: an answer of another shape must never
look like an empty day.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import repeat
from typing import Any, TypeAlias

import msgspec
import pyarrow as pa

from platform_assets.engine.errors import ConfigError, DataError
from platform_assets.engine.ingestion.convert import json_text, to_arrow
from platform_assets.engine.ingestion.decoders import decoder
from platform_assets.engine.ingestion.paths import parse_path, path_problems, relative
from platform_assets.engine.ingestion.rounding import Roundings
from platform_assets.engine.ingestion.spec import RestSource
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import Field, FieldType, Scalar, TableSchema

EXTRA_COLUMN = "x_extra"

Taken: TypeAlias = "dict[str, Taken] | None"  # fields that columns take; None: taken whole

_BOM = b"\xef\xbb\xbf"
_LONG_WORD = re.compile(r"[A-Za-z0-9_\-+/=.~]{16,}")
_OFFSET = re.compile(r"\(byte (\d+)\)")


@dataclass(frozen=True)
class Document:
    """A decoded page: its levels (page, elements, …, records) and, per level, which element owns which."""

    root: Any
    elements: Sequence[Sequence[Any]]
    owners: Sequence[Sequence[int]]

    @property
    def records(self) -> Sequence[Any]:
        return self.elements[-1]

    @property
    def items(self) -> int:
        """Length of the outermost list of the records path."""
        return len(self.elements[1])


@dataclass(frozen=True)
class _Column:
    field: Field
    level: int  # 0 is the page, the last one the record
    keys: tuple[str, ...]


class Decoder:
    """The mapping of one step, compiled once. ``constants`` fill the standard columns that the schema declares;
    ``roundings`` is told of money that had too many digits."""

    def __init__(
        self,
        source: RestSource,
        schema: TableSchema,
        constants: Mapping[str, Scalar],
        roundings: Roundings | None = None,
    ) -> None:
        problems = path_problems(source.records_path, source.columns, source.ignore)
        if problems:
            raise ConfigError("; ".join(problems))
        self.roundings = Roundings() if roundings is None else roundings
        self._path = parse_path(source.records_path)
        self._depth = len(self._path.levels) + bool(self._path.tail or not self._path.levels)
        self._json = msgspec.json.Decoder(float_hook=Decimal)
        self._rearrange = decoder(source.decoder) if source.decoder else None
        self.schema = arrow_schema(schema)
        self._constants = {n: v for n, v in constants.items() if schema.get(n) and n not in source.columns}
        self._columns = [self._column(f, source) for f in schema.fields if self._is_mapped(f, source)]
        self._extra = schema.get(EXTRA_COLUMN) if EXTRA_COLUMN not in source.columns else None
        self._taken = self._taken_fields(source)

    def _is_mapped(self, field: Field, source: RestSource) -> bool:
        own = field.name in self._constants or field.name == EXTRA_COLUMN
        return field.name in source.columns or not own

    def _column(self, field: Field, source: RestSource) -> _Column:
        text = source.columns.get(field.name, field.name)
        path = parse_path(text)
        if relative(text):
            return _Column(field, self._depth, path.tail)
        return _Column(field, len(path.levels), path.tail)

    def _taken_fields(self, source: RestSource) -> Taken:
        taken: dict[str, Taken] = {}
        if any(c.level == self._depth and not c.keys for c in self._columns):
            return None  # a column holds the whole record
        for column in self._columns:
            if column.level == self._depth:
                _take(taken, column.keys, _subfields(column.field))
        for text in source.ignore:
            _take(taken, parse_path(text).tail, None)
        return taken

    # --- Pages ---

    def parse(self, body: bytes, where: str) -> Document:
        """Decode a page and walk to its records. ``where`` names the page in errors."""
        root = self._rearranged(self._decode(body, where), where)
        elements: list[Sequence[Any]] = [[root]]
        owners: list[Sequence[int]] = []
        for keys in self._path.levels:
            found, owner = _each(elements[-1], keys, self._path.text, where)
            elements.append(found)
            owners.append(owner)
        if len(elements) <= self._depth:
            tail = self._path.tail
            elements.append([_walk(e, tail, self._path.text, where) for e in elements[-1]])
            owners.append(range(len(elements[-1])))
        _demand_objects(elements[-1], self._path.text, where)
        return Document(root, elements, owners)

    def _decode(self, body: bytes, where: str) -> Any:
        try:
            return self._json.decode(body.removeprefix(_BOM))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: {_explain(error, body)}") from None

    def _rearranged(self, root: Any, where: str) -> Any:
        try:
            return self._rearrange(root) if self._rearrange else root
        except (DataError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise DataError(f"{where}: {error}") from None

    def batch(self, document: Document, where: str) -> tuple[pa.RecordBatch, Counter[str]]:
        """The page's rows in the table's columns, and how many records had each field that no column takes."""
        count = len(document.records)
        values = _Values(document, where)
        arrays = {c.field.name: self._array(values, c) for c in self._columns}
        for name, value in self._constants.items():
            arrays[name] = pa.repeat(pa.scalar(value, self.schema.field(name).type), count)
        extras, unknown = self._leftovers(document.records)
        if self._extra:
            arrays[EXTRA_COLUMN] = pa.array(extras, pa.string()) if extras else pa.nulls(count, pa.string())
        return pa.RecordBatch.from_arrays([arrays[n] for n in self.schema.names], schema=self.schema), unknown

    def _array(self, values: _Values, column: _Column) -> pa.Array:
        enclosing = column.level < self._depth
        place = f"{values.where}, {'element' if enclosing else 'record'}"
        shown = ".".join(column.keys) or "."
        found = values.at(column.level, column.keys)
        array = to_arrow(column.field, found, lambda i: f"{place} {i}, {shown}", self.roundings)
        return array.take(values.owners(column.level)) if enclosing else array

    # --- Fields nobody mapped ---

    def _leftovers(self, records: Sequence[Any]) -> tuple[list[str | None], Counter[str]]:
        if self._taken is None or not _any_unknown(records, self._taken):
            return [], Counter()
        unknown: Counter[str] = Counter()
        texts: list[str | None] = []
        for record in records:
            rest = _leftover(record, self._taken, "", unknown)
            texts.append(json_text(rest).decode() if rest else None)
        return texts, unknown


# --- Walking ------------------------------------------------------------------------------------------


def _walk(element: Any, keys: tuple[str, ...], path: str, where: str) -> Any:
    for key in keys:
        if type(element) is not dict or key not in element:
            raise DataError(f"{where}: no {path!r} in the answer ({key!r} is missing); {_shape(element)}")
        element = element[key]
    return element


def _each(
    elements: Sequence[Any], keys: tuple[str, ...], path: str, where: str
) -> tuple[list[Any], list[int]]:
    found: list[Any] = []
    owner: list[int] = []
    for i, element in enumerate(elements):
        inner = _walk(element, keys, path, where)
        if type(inner) is not list:
            raise DataError(f"{where}: {path!r} is not a list; {_shape(inner)}")
        found.extend(inner)
        owner.extend(repeat(i, len(inner)))
    return found, owner


def _demand_objects(records: Sequence[Any], path: str, where: str) -> None:
    if set(map(type, records)) - {dict}:
        bad = next(i for i, r in enumerate(records) if type(r) is not dict)
        raise DataError(f"{where}, record {bad}: {path!r} holds {_shape(records[bad])}, not an object")


class _Values:
    """What stands at the paths of one page; every path is walked once, for all elements of its level."""

    def __init__(self, document: Document, where: str) -> None:
        self.where = where
        self._document = document
        self._found: dict[tuple[int, tuple[str, ...]], Sequence[Any]] = {}
        self._owners: dict[int, pa.Array] = {}

    def at(self, level: int, keys: tuple[str, ...]) -> Sequence[Any]:
        """The values at a path below each element of a level; None where it is missing."""
        if not keys:
            return self._document.elements[level]
        if (level, keys) not in self._found:
            self._found[level, keys] = self._walked(self.at(level, keys[:-1]), keys)
        return self._found[level, keys]

    def _walked(self, outer: Sequence[Any], keys: tuple[str, ...]) -> Sequence[Any]:
        key = keys[-1]
        try:
            if len(keys) == 1:  # the elements themselves: never null
                return [o.get(key) for o in outer]
            return [None if o is None else o.get(key) for o in outer]
        except AttributeError:
            bad = next(i for i, o in enumerate(outer) if o is not None and type(o) is not dict)
            place = f"{self.where}, record {bad}, {'.'.join(keys[:-1]) or '.'}"
            raise DataError(f"{place}: {_shape(outer[bad])}, not an object") from None

    def owners(self, level: int) -> pa.Array:
        """For every record, the index of the element of ``level`` that encloses it."""
        if level not in self._owners:
            index = self._document.owners[-1]
            for owners in reversed(self._document.owners[level:-1]):
                index = [owners[i] for i in index]
            self._owners[level] = pa.array(index, pa.int64())
        return self._owners[level]


# --- Unknown fields -----------------------------------------------------------------------------------


def _subfields(field: Field) -> Taken:
    if field.type is not FieldType.STRUCT:
        return None
    return {f.name: _subfields(f) for f in field.fields}


def _take(taken: dict[str, Taken], keys: tuple[str, ...], below: Taken) -> None:
    *outer, last = keys
    for key in outer:
        inner = taken.setdefault(key, {})
        if inner is None:
            return
        taken = inner
    present = taken.get(last, below)
    both = isinstance(present, dict) and isinstance(below, dict)
    taken[last] = {**present, **below} if both else None  # type: ignore[dict-item]


def _any_unknown(values: Sequence[Any], taken: dict[str, Taken]) -> bool:
    shapes = set(map(tuple, values))
    if any(key not in taken for shape in shapes for key in shape):
        return True
    return any(
        _any_unknown(_objects([v.get(key) for v in values]), inner)
        for key, inner in taken.items()
        if inner is not None
    )


def _objects(values: Sequence[Any]) -> list[Any]:
    flat = [i for v in values if v for i in (v if type(v) is list else (v,))]
    return [v for v in flat if type(v) is dict]


def _leftover(value: Any, taken: Taken, path: str, unknown: Counter[str]) -> Any:
    if taken is None:
        return None
    if type(value) is list:
        rest = [_leftover(v, taken, f"{path}[]", unknown) for v in value]
        return rest if any(r is not None for r in rest) else None
    if type(value) is not dict:
        return None
    kept = {}
    for key, inner in value.items():
        below = f"{path}.{key}" if path else key
        if key not in taken:
            kept[key] = inner
            unknown[below] += 1
        elif (rest := _leftover(inner, taken[key], below, unknown)) is not None:
            kept[key] = rest
    return kept or None


# --- Words --------------------------------------------------------------------------------------------


def _shape(value: Any) -> str:
    if type(value) is dict:
        return f"an object with {', '.join(map(repr, list(value)[:6])) or 'no fields'}"
    return {list: "a list", str: "a text", type(None): "null", bool: "a boolean"}.get(type(value), "a number")


def _explain(error: Exception, body: bytes) -> str:
    if not body.strip():
        return "the answer is empty, not JSON"
    match = _OFFSET.search(str(error))
    offset = int(match[1]) if match else len(body)
    if isinstance(error, UnicodeDecodeError):
        offset = _bad_byte(body)
    reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return f"not whole JSON at byte {offset} of {len(body)} ({reason}): …{excerpt(body, offset)}…"


def _bad_byte(body: bytes) -> int:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return error.start
    return len(body)


def excerpt(body: bytes, offset: int = 0, width: int = 60) -> str:
    """A few characters around an offset; anything long enough to be a key is masked."""
    text = body[max(0, offset - width) : offset + width].decode(errors="replace")
    return _LONG_WORD.sub("***", " ".join(text.split()))
