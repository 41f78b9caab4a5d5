"""The table manager: what a batch's events ask of their table, and what becomes of each event.

Pure planning. Each event is looked at against the columns so far: what it adds, widens or relaxes is taken over where
the contract allows it, and an event that cannot fit is refused alone, with field, value and reason. What may change in
a table is ``engine.schema.planning``'s to say; here stands how JSON asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from platform_assets.engine.events.spec import STANDARD_NAMES, Contract, ContractMode
from platform_assets.engine.events.values import READERS, UNREADABLE, decode, fits, natural_type
from platform_assets.engine.names import IDENTIFIER_PATTERN
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema
from platform_assets.engine.schema.planning import (
    AddColumn,
    Change,
    CreateTable,
    DescribeColumn,
    Path,
    RelaxColumn,
    SchemaPlan,
    WidenColumn,
    apply_plan,
    plan_changes,
)

Row: TypeAlias = Mapping[str, Any]
MOST_COLUMNS = 10_000  # BigQuery's limits
MOST_LEVELS = 15
_SHOWN = 80
_TEXTS = frozenset({FieldType.DATE, FieldType.TIMESTAMP, FieldType.STRING})
_NUMBERS = (FieldType.INT64, FieldType.NUMERIC, FieldType.FLOAT64)
_EXACT = frozenset({FieldType.NUMERIC, FieldType.BIGNUMERIC})
_RESERVED = re.compile(r"(?i)_table_|_file_|_partition|_row_timestamp|__root__|_colidentifier")


@dataclass(frozen=True)
class Misfit:
    """A value that its column cannot take. ``kind``: which part of the contract decides about it."""

    path: Path
    reason: str
    value: str = ""
    kind: str = "data_type"

    def __str__(self) -> str:
        shown = f" = {self.value}" if self.value else ""
        return f"field {'.'.join(self.path)}{shown}: {self.reason}"


@dataclass
class Fitted:
    """What a batch comes to. ``rows``: by the event's index, its columns; ``refused`` and ``discarded``: why not.

    ``discarded_values`` counts values left out, by column; ``nulls`` are fields of which nothing but null was seen."""

    columns: TableSchema
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    discarded: dict[int, str] = field(default_factory=dict)
    discarded_values: dict[str, int] = field(default_factory=dict)
    nulls: set[str] = field(default_factory=set)


def fit(columns: TableSchema, contract: Contract, bodies: Mapping[int, bytes]) -> Fitted:
    """Fit events, by index and in this order, to ``columns`` (without the standard ones), which may grow."""
    batch = _Batch(contract, Fitted(columns))
    accepted: dict[int, tuple[Row, frozenset[Path]]] = {}
    for index, body in bodies.items():
        try:
            event = decode(body)
        except UNREADABLE as error:
            batch.found.refused[index] = f"cannot be read: {error}"
            continue
        left_out = batch.look_at(index, event)
        if left_out is not None:
            accepted[index] = (event, left_out)
    found = batch.found
    for index, (event, left_out) in accepted.items():
        found.rows[index] = _columns((), event, found.columns.fields, left_out)
    return found


@dataclass
class _Batch:
    """``fresh``: columns that came in with this batch; nothing is stored in them yet, so they may still change."""

    contract: Contract
    found: Fitted
    fresh: set[Path] = field(default_factory=set)

    def look_at(self, index: int, event: Row) -> frozenset[Path] | None:
        """The columns to leave out of this event, or None where it is not taken."""
        misfits: list[Misfit] = []
        self.found.nulls |= {name for name, value in event.items() if value is None}
        wanted = TableSchema(tuple(_observe_members((), event, self.found.columns.fields, misfits)))
        plan = plan_changes(self.found.columns, wanted)
        changes, left_out = list(plan.changes), set[Path]()
        for refusal in plan.refusals:
            if retyped := self._retyped(refusal.path, refusal.new):
                changes.append(retyped)
            else:
                reason = f"the column is {refusal.old or 'not there'}, the value {refusal.new}"
                misfits.append(Misfit(refusal.path, reason, _shown(event, refusal.path)))
        allowed: list[Change] = []
        for item in [*misfits, *changes]:
            mode = self._mode(item)
            if isinstance(item, RelaxColumn) and mode is ContractMode.DISCARD_VALUE:
                mode = ContractMode.FREEZE
            if mode is ContractMode.EVOLVE and not isinstance(item, Misfit):
                allowed.append(item)
            elif mode is ContractMode.DISCARD_VALUE:
                left_out.add(item.path)  # type: ignore[union-attr]
            else:
                bin_ = self.found.discarded if mode is ContractMode.DISCARD_ROW else self.found.refused
                bin_[index] = _told(item, event)
                return None
        if allowed and (reason := self._apply(allowed)):
            self.found.refused[index] = reason
            return None
        for path in left_out:
            name = ".".join(path)
            self.found.discarded_values[name] = self.found.discarded_values.get(name, 0) + 1
        return frozenset(left_out)

    def _mode(self, item: Misfit | Change) -> ContractMode:
        if isinstance(item, Misfit):
            return getattr(self.contract, item.kind)  # type: ignore[no-any-return]
        fresh = not isinstance(item, AddColumn | CreateTable) and self._is_fresh(item.path)
        if fresh:
            return ContractMode.EVOLVE
        return self.contract.data_type if isinstance(item, WidenColumn) else self.contract.columns

    def _is_fresh(self, path: Path) -> bool:
        return any(path[: n + 1] in self.fresh for n in range(len(path)))

    def _retyped(self, path: Path, new: str) -> WidenColumn | None:
        """Of a column that came in with this batch, the type that takes both."""
        if not self._is_fresh(path):
            return None
        old = _find(self.found.columns, path)
        joined = _joined(old.type, new.partition(" ")[0]) if old else None
        return WidenColumn(path, old.type, joined) if old and joined else None

    def _apply(self, changes: list[Change]) -> str:
        """Take the changes over; says why not where the table would get too large."""
        after = apply_plan(self.found.columns, SchemaPlan(tuple(changes)))
        if any(isinstance(c, AddColumn) for c in changes) and _count(after.fields) > MOST_COLUMNS:
            return f"the table would have more than {MOST_COLUMNS} columns"
        self.found.columns = after
        self.fresh |= {change.path for change in changes if isinstance(change, AddColumn)}
        return ""


def _count(fields: Sequence[Field]) -> int:
    return sum(1 + _count(f.fields) for f in fields)


def _find(columns: TableSchema, path: Path) -> Field | None:
    fields, found = columns.fields, None
    for name in path:
        found = next((f for f in fields if f.name.lower() == name.lower()), None)
        fields = found.fields if found else ()
    return found


def _joined(old: FieldType, new: str) -> FieldType | None:
    kind = FieldType(new)
    if {old, kind} <= _TEXTS:
        return FieldType.STRING
    return max(old, kind, key=_NUMBERS.index) if {old, kind} <= set(_NUMBERS) else None


def _told(item: Misfit | Change, event: Row) -> str:
    if isinstance(item, Misfit):
        return str(item)
    assert not isinstance(item, CreateTable | DescribeColumn), "an event never asks for these"
    what = {
        AddColumn: "is not in the table, and its contract adds no columns",
        RelaxColumn: "is REQUIRED and missing",
        WidenColumn: f"would need {getattr(item, 'new', '')}, and the table's contract changes no types",
    }[type(item)]
    return str(Misfit(item.path, what, "" if isinstance(item, RelaxColumn) else _shown(event, item.path)))


# --- What an event asks for -----------------------------------------------------------------------------------------


def column_name(key: str) -> str:
    """A field's name as a column's: what no column name may hold becomes ``_``."""
    if IDENTIFIER_PATTERN.fullmatch(key) and not _RESERVED.match(key):
        return key
    name = re.sub(r"[^A-Za-z0-9_]", "_", key)[:299]
    return f"x{name}" if _RESERVED.match(name) else name if name and not name[0].isdigit() else f"_{name}"


def _members(path: Path, event: Row) -> Iterator[tuple[str, Any]]:
    """(column name, value); at the top without what the platform writes itself."""
    for key, value in event.items():
        name = column_name(key)
        if path or name.lower() not in STANDARD_NAMES:
            yield name, value


def _observe_members(
    path: Path, event: Row, known: Sequence[Field], misfits: list[Misfit]
) -> Iterator[Field]:
    have = {f.name.lower(): f for f in known}
    seen: set[str] = set()
    for name, value in _members(path, event):
        place, lower = (*path, name), name.lower()
        if lower in seen:
            misfits.append(Misfit(place, "two fields of the event are this column"))
            continue
        column = have.get(lower)
        found = _observe(place, value, column, misfits)
        if value is not None:
            seen.add(lower)
        if found is not None:
            yield replace(found, name=column.name) if column else found
    for column in known:
        if column.mode is Mode.REQUIRED and column.name.lower() not in seen:
            yield replace(column, mode=Mode.NULLABLE, fields=())


def _observe(path: Path, value: Any, known: Field | None, misfits: list[Misfit]) -> Field | None:
    """The column that a value asks for; None where it asks for nothing (null, nothing in it)."""
    if value is None or (_says_nothing(value) and not _takes(known, value)):
        return None
    if known and known.type is FieldType.JSON and known.mode is not Mode.REPEATED:
        return known
    if isinstance(value, list):
        return _observe_list(path, value, known, misfits)
    if known and known.mode is Mode.REPEATED:
        misfits.append(Misfit(path, f"{_kind(known)} takes an array", _text(value)))
        return None
    return _observe_one(path, value, known, misfits)


def _says_nothing(value: Any) -> bool:
    """Null, and objects and arrays with nothing in them: no type can be told from these, so they are NULL where the
    column turns out to be of another kind."""
    if isinstance(value, dict):
        return all(_says_nothing(v) for v in value.values())
    if isinstance(value, list):
        return all(isinstance(item, dict) and _says_nothing(item) for item in value)
    return value is None


def _takes(column: Field | None, value: Any) -> bool:
    """Whether an object or array is of the column's kind."""
    if column is None:
        return False
    if isinstance(value, list) != (column.mode is Mode.REPEATED):
        return column.type is FieldType.JSON and column.mode is not Mode.REPEATED
    return column.type in (FieldType.STRUCT, FieldType.JSON) or value == []


def _observe_one(path: Path, value: Any, known: Field | None, misfits: list[Misfit]) -> Field | None:
    mode = known.mode if known else Mode.NULLABLE
    if isinstance(value, dict):
        if known and known.type is not FieldType.STRUCT:
            misfits.append(Misfit(path, f"{_kind(known)} takes no object", _text(value)))
            return None
        if len(path) >= MOST_LEVELS:
            return Field(path[-1], FieldType.JSON)
        fields = tuple(_observe_members(path, value, known.fields if known else (), misfits))
        return Field(path[-1], FieldType.STRUCT, mode, fields=fields) if fields or known else None
    if known and known.type is not FieldType.STRUCT and fits(value, known.type):
        return known
    kind = natural_type(value)
    if kind is None or (known and (known.type in _EXACT or known.type is FieldType.STRUCT)):
        of = _kind(known) if known else "no column type"
        misfits.append(
            Misfit(path, f"is not a value of {of}" if known else "no column type holds it", _text(value))
        )
        return None
    return Field(path[-1], kind, mode)


def _observe_list(path: Path, items: list[Any], known: Field | None, misfits: list[Misfit]) -> Field | None:
    if known and known.mode is not Mode.REPEATED:
        misfits.append(Misfit(path, f"{_kind(known)} takes no array", _text(items)))
        return None
    if any(item is None or isinstance(item, list) for item in items):
        if known:
            what = "null" if None in items else "another array"
            misfits.append(Misfit(path, f"an array cannot hold {what}", _text(items)))
            return None
        return Field(path[-1], FieldType.JSON)
    if known is None and len({isinstance(item, dict) for item in items}) > 1:
        return Field(path[-1], FieldType.JSON)  # also where the objects have nothing in them
    single = replace(known, mode=Mode.NULLABLE) if known else None
    if known and known.type is FieldType.JSON:
        return known
    for item in items:
        found = _observe_one(path, item, single, misfits)
        if found is None:
            continue
        merged = _merged(single, found)
        if merged is None and known is None:
            return Field(path[-1], FieldType.JSON)
        single = merged or found
    return replace(single, mode=Mode.REPEATED) if single else None


def _merged(known: Field | None, found: Field) -> Field | None:
    """One column for two items of an array; None where there is none but JSON."""
    if known is None:
        return found
    if known.type is FieldType.STRUCT and found.type is FieldType.STRUCT:
        names = {f.name.lower(): f for f in known.fields}
        for member in found.fields:
            merged = _merged(names.get(member.name.lower()), member)
            if merged is None or merged.mode is not member.mode:
                return None
            names[member.name.lower()] = merged
        return replace(known, fields=tuple(names.values()))
    if known.type is found.type:
        return known
    if FieldType.STRUCT in (known.type, found.type):
        return None
    joined = _joined(known.type, found.type.value)
    return replace(known, type=joined) if joined else None


def _kind(column: Field) -> str:
    return column.type.value if column.mode is not Mode.REPEATED else f"{column.type} REPEATED"


def _text(value: Any) -> str:
    text = READERS[FieldType.JSON](value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _shown(event: Any, path: Path) -> str:
    """The value at a path, as a person should see it; inside arrays, the array."""
    for name in path:
        if not isinstance(event, dict):
            break
        event = next((v for k, v in event.items() if column_name(k).lower() == name.lower()), None)
    return _text(event)


# --- Events as rows ---------------------------------------------------------------------------------------------


def _columns(path: Path, event: Row, fields: Sequence[Field], left_out: frozenset[Path]) -> dict[str, Any]:
    """An accepted event's values by column, as Arrow takes them."""
    given = {name.lower(): value for name, value in _members(path, event) if value is not None}
    found = {}
    for column in fields:
        place = (*path, column.name)
        value = given.get(column.name.lower())
        if value is None or (_says_nothing(value) and not _takes(column, value)):
            continue
        if not _left_out(place, left_out):
            found[column.name] = _value(place, value, column, left_out)
    return found


def _left_out(path: Path, left_out: frozenset[Path]) -> bool:
    return bool(left_out) and tuple(p.lower() for p in path) in {
        tuple(p.lower() for p in q) for q in left_out
    }


def _value(path: Path, value: Any, column: Field, left_out: frozenset[Path]) -> Any:
    if column.mode is Mode.REPEATED:
        single = replace(column, mode=Mode.NULLABLE)
        return [_value(path, item, single, left_out) for item in value]
    if column.type is FieldType.STRUCT:
        return _columns(path, value, column.fields, left_out)
    return READERS[column.type](value)
