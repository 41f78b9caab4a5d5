"""Who may read which rows of a table, as declared under ``access:``, and views that show a part of it.

Owns the form and its checks. Refuses free SQL: rows are chosen by values of columns, so that a rule can be read at a
glance and cannot reach further than it says. How a warehouse enforces it stands with that warehouse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, TypeAlias

from pydantic import Field as Setting

from platform_assets.engine.errors import RejectedError
from platform_assets.engine.schema.model import FieldType, Mode, TableSpec
from platform_assets.engine.spec import Spec

# Never allUsers or allAuthenticatedUsers: that would publish a tenant's numbers.
Principal = Annotated[
    str,
    Setting(pattern=r"^((user|group|serviceAccount):[^\s@\"'`\\]+@|domain:)[A-Za-z0-9.-]+$", max_length=320),
]
Name = Annotated[str, Setting(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]
Value: TypeAlias = bool | int | date | str
Where: TypeAlias = dict[Name, Annotated[list[Value], Setting(min_length=1)]]

_TYPES: Mapping[FieldType, tuple[type, ...]] = {
    FieldType.STRING: (str,),
    FieldType.INT64: (int,),
    FieldType.BOOL: (bool,),
    FieldType.DATE: (date,),
}


class RowRule(Spec):
    """``grantees`` see the rows in which every column of ``where`` has one of its values."""

    name: Name
    grantees: Annotated[list[Principal], Setting(min_length=1)]
    where: Annotated[Where, Setting(min_length=1)]


class SharedView(Spec):
    """A view in another dataset, whose readers need no right on the table. No ``columns``: all that are not PII."""

    dataset: Name
    view: Name
    columns: list[Name] = []
    where: Where = {}
    description: str = ""


class TableAccess(Spec):
    """``access: {<table>: …}`` of a tenant. Once there is a row rule, everybody else sees no row at all,
    pipelines included: ``sees_all`` names those who must."""

    rows: list[RowRule] = []
    sees_all: list[Principal] = []
    views: list[SharedView] = []


def require_possible(spec: TableSpec, access: TableAccess) -> None:
    """RejectedError with everything in ``access`` that this table cannot do."""
    problems = list(_problems(spec, access))
    if problems:
        raise RejectedError(f"{spec.name}: access: " + "; ".join(problems))


def _problems(spec: TableSpec, access: TableAccess) -> Iterator[str]:
    names = [rule.name.lower() for rule in access.rows]
    yield from (f"rule {name} is declared twice" for name in sorted(set(names)) if names.count(name) > 1)
    if access.rows and not access.sees_all:
        yield "rows needs sees_all: without it the pipeline itself would see no row"
    for rule in access.rows:
        yield from (f"rule {rule.name}: {reason}" for reason in _where_problems(spec, rule.where))
    for view in access.views:
        if view.dataset == spec.name.dataset:
            yield f"view {view.view} must be in another dataset than the table"
        missing = [column for column in view.columns if spec.schema.get(column) is None]
        yield from (f"view {view.view}: there is no column {column}" for column in missing)
        yield from (f"view {view.view}: {reason}" for reason in _where_problems(spec, view.where))


def _where_problems(spec: TableSpec, where: Where) -> Iterator[str]:
    for name, values in where.items():
        column = spec.schema.get(name)
        if column is None:
            yield f"there is no column {name}"
        elif column.mode is Mode.REPEATED or column.type not in _TYPES:
            yield f"column {name} is {column.type} {column.mode}; rows are chosen by STRING, INT64, BOOL or DATE"
        elif wrong := [value for value in values if not _is_of(value, column.type)]:
            yield f"column {name} is {column.type}, which {wrong[0]!r} is not"


def _is_of(value: Value, kind: FieldType) -> bool:
    # In Python every bool is an int.
    return isinstance(value, _TYPES[kind]) and (kind is FieldType.BOOL) == isinstance(value, bool)
