"""What has to change so that a table gets the wanted columns, and what can never be changed in place.

Owns the rules of schema evolution, the same for every warehouse: create, add NULLABLE or REPEATED columns
(also inside STRUCT), relax REQUIRED to NULLABLE, widen numbers, describe. Everything else is refused, all
refusals at once. Columns that only the table has are left alone: nothing is ever dropped or renamed.

Source: BigQuery documentation, "Modifying table schemas" and "ALTER COLUMN SET DATA TYPE".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from platform_assets.engine.errors import RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema

Path: TypeAlias = tuple[str, ...]

WIDENINGS: Mapping[FieldType, frozenset[FieldType]] = {
    FieldType.INT64: frozenset({FieldType.NUMERIC, FieldType.BIGNUMERIC, FieldType.FLOAT64}),
    FieldType.NUMERIC: frozenset({FieldType.BIGNUMERIC, FieldType.FLOAT64}),
}


@dataclass(frozen=True)
class CreateTable:
    """The table does not exist yet."""

    schema: TableSchema

    def __str__(self) -> str:
        return f"create with {len(self.schema.fields)} columns"


@dataclass(frozen=True)
class AddColumn:
    """``path`` ends with the new column's name; what comes before names the STRUCTs around it."""

    path: Path
    field: Field

    def __str__(self) -> str:
        return f"add {_name(self.path)} {_kind(self.field)}"


@dataclass(frozen=True)
class RelaxColumn:
    """REQUIRED becomes NULLABLE."""

    path: Path

    def __str__(self) -> str:
        return f"relax {_name(self.path)} from REQUIRED to NULLABLE"


@dataclass(frozen=True)
class WidenColumn:
    """Every old value has a place in the new type."""

    path: Path
    old: FieldType
    new: FieldType

    def __str__(self) -> str:
        return f"widen {_name(self.path)} from {self.old} to {self.new}"


@dataclass(frozen=True)
class DescribeColumn:
    """Only the description differs."""

    path: Path
    description: str

    def __str__(self) -> str:
        return f"describe {_name(self.path)}"


Change: TypeAlias = CreateTable | AddColumn | RelaxColumn | WidenColumn | DescribeColumn


@dataclass(frozen=True)
class Refusal:
    """A difference that cannot be changed in place; ``old`` is empty where the column is new."""

    path: Path
    old: str
    new: str
    reason: str

    def __str__(self) -> str:
        types = f"{self.old} to {self.new}" if self.old else self.new
        return f"column {_name(self.path)}: {types}: {self.reason}"


@dataclass(frozen=True)
class SchemaPlan:
    """``changes`` in the order to apply them. With any refusal nothing may be applied."""

    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def require_allowed(self, table: TableName | str) -> None:
        """RejectedError naming the table and every refused column with both types."""
        if self.refusals:
            lines = "".join(f"\n  {table} {refusal}" for refusal in self.refusals)
            raise RejectedError(f"{table} cannot be changed to the declared schema:{lines}")

    def describe(self) -> tuple[str, ...]:
        """The changes in words, in order."""
        return tuple(str(change) for change in self.changes)


def plan_changes(current: TableSchema | None, wanted: TableSchema) -> SchemaPlan:
    """Compare by name, ignoring case and order. ``current`` None means that there is no table."""
    if current is None:
        return SchemaPlan((CreateTable(wanted),))
    found = tuple(_compare_all((), current.fields, wanted.fields, repeated=False))
    changes = tuple(item for item in found if not isinstance(item, Refusal))
    return SchemaPlan(changes, tuple(item for item in found if isinstance(item, Refusal)))


def apply_plan(current: TableSchema | None, plan: SchemaPlan) -> TableSchema:
    """The schema after the plan; pure, for previews and tests. RejectedError where the plan has refusals."""
    plan.require_allowed("the table")
    fields: tuple[Field, ...] = current.fields if current else ()
    for change in plan.changes:
        fields = (
            change.schema.fields if isinstance(change, CreateTable) else _apply(fields, change.path, change)
        )
    return TableSchema(fields)


def _compare_all(
    path: Path, current: tuple[Field, ...], wanted: tuple[Field, ...], *, repeated: bool
) -> Iterator[Change | Refusal]:
    have = {f.name.lower(): f for f in current}
    for field in wanted:
        old = have.get(field.name.lower())
        if old is None:
            yield _add((*path, field.name), field)
        else:
            yield from _compare((*path, old.name), old, field, repeated=repeated)


def _add(path: Path, field: Field) -> Change | Refusal:
    if field.mode is Mode.REQUIRED:
        return Refusal(path, "", _kind(field), "a REQUIRED column cannot be added to an existing table")
    return AddColumn(path, field)


def _compare(path: Path, old: Field, new: Field, *, repeated: bool) -> Iterator[Change | Refusal]:
    in_list = repeated or old.mode is Mode.REPEATED
    found = [
        c for c in (_mode_change(path, old, new), _type_change(path, old, new, in_list)) if c is not None
    ]
    yield from found
    if any(isinstance(c, Refusal) for c in found):
        return
    if new.description and new.description != old.description:
        yield DescribeColumn(path, new.description)
    if old.type is FieldType.STRUCT:
        yield from _compare_all(path, old.fields, new.fields, repeated=in_list)


def _mode_change(path: Path, old: Field, new: Field) -> Change | Refusal | None:
    if old.mode is new.mode:
        return None
    if (old.mode, new.mode) == (Mode.REQUIRED, Mode.NULLABLE):
        return RelaxColumn(path)
    return Refusal(path, _kind(old), _kind(new), f"a {old.mode} column cannot become {new.mode}")


def _type_change(path: Path, old: Field, new: Field, repeated: bool) -> Change | Refusal | None:
    if old.type is new.type:
        return None
    if new.type not in WIDENINGS.get(old.type, frozenset()):
        return Refusal(path, _kind(old), _kind(new), "only widening a number is allowed; rewrite the table")
    if repeated:
        return Refusal(path, _kind(old), _kind(new), "a type inside a REPEATED column cannot be widened")
    return WidenColumn(path, old.type, new.type)


def _apply(
    fields: tuple[Field, ...], path: Path, change: AddColumn | RelaxColumn | WidenColumn | DescribeColumn
) -> tuple[Field, ...]:
    if isinstance(change, AddColumn) and len(path) == 1:
        return (*fields, change.field)
    return tuple(_apply_one(f, path, change) if f.name == path[0] else f for f in fields)


def _apply_one(
    field: Field, path: Path, change: AddColumn | RelaxColumn | WidenColumn | DescribeColumn
) -> Field:
    if len(path) > 1:
        return replace(field, fields=_apply(field.fields, path[1:], change))
    match change:
        case RelaxColumn():
            return replace(field, mode=Mode.NULLABLE)
        case WidenColumn(new=new):
            return replace(field, type=new)
        case DescribeColumn(description=text):
            return replace(field, description=text)
        case AddColumn():
            return field


def _name(path: Path) -> str:
    return ".".join(path)


def _kind(field: Field) -> str:
    return field.type.value if field.mode is Mode.NULLABLE else f"{field.type.value} {field.mode.value}"
