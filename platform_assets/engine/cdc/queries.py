"""From many messages' questions to few statements: equal ones asked once, alike ones asked together.

A question is a monitor's query with its tables and values. Two monitors that sum one column of one table ask the same
question, and one answer serves both. Questions with the same columns become one statement of ``UNION ALL``.
Owns the step from ``source.<table>`` to real tables. The tree gets slots for them, and slots are filled with checked
names in backticks; values are bound by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from platform_assets.engine.cdc.tables import SourceTable
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.checked import Transform
from platform_assets.engine.sql.model import BoundSql, SqlPart, numbered

Bound = tuple[str, FieldType, str | datetime]


@dataclass(frozen=True)
class Question:
    """A query about certain tables with certain values: equal questions have equal answers. ``values``: (parameter,
    type, value), the parameters named by their values."""

    part: SqlPart
    columns: tuple[str, ...]
    tables: tuple[SourceTable, ...]
    values: tuple[Bound, ...]


@dataclass(frozen=True)
class Statement:
    """Questions asked together; rows of the answer begin with the question's index in ``questions``."""

    questions: tuple[Question, ...]

    @property
    def halves(self) -> tuple[Statement, Statement]:
        middle = len(self.questions) // 2
        return Statement(self.questions[:middle]), Statement(self.questions[middle:])


def ask(
    query: Transform,
    tables: Mapping[str, SourceTable],
    values: Mapping[str, tuple[FieldType, str | datetime]],
) -> Question:
    """``tables``: for each ``source.<name>`` of the query; ``values``: for each of its parameters."""
    text, slots = _with_slots(query)
    real = tuple(tables[table.table] for table in query.tables)
    bound = tuple((_parameter_name(*values[name]), *values[name]) for name in query.parameters)
    part = SqlPart(
        text,
        tuple(
            (slots[t.table], (r.project, r.dataset, r.table)) for t, r in zip(query.tables, real, strict=True)
        ),
        tuple((slots[f"@{name}"], b[0]) for name, b in zip(query.parameters, bound, strict=True)),
    )
    return Question(part, query.columns, real, bound)


def _parameter_name(kind: FieldType, value: str | datetime) -> str:
    """The same for equal values, so that questions asked together share a parameter and never mix two up."""
    text = value.isoformat() if isinstance(value, datetime) else value
    return f"p{hashlib.sha256(f'{kind}:{text}'.encode()).hexdigest()[:32]}"


@lru_cache(maxsize=1024)
def _with_slots(query: Transform) -> tuple[str, dict[str, str]]:
    """(BigQuery text, table or @parameter → its slot). A slot's name holds a hash of the text, so that nothing in the
    text can be one by chance. Every table keeps its short name as alias, so columns may be qualified by it."""
    from sqlglot import exp

    from platform_assets.engine.sql.transform import dataset_tables

    mark = f"slot_{hashlib.sha256(query.text.encode()).hexdigest()[:16]}"
    slots = {table.table: f"{mark}_t{n}x" for n, table in enumerate(query.tables)}
    slots |= {f"@{name}": f"{mark}_p{n}x" for n, name in enumerate(query.parameters)}
    tree = query.tree.copy()
    for table in list(dataset_tables(tree)):
        new = exp.Table(this=exp.to_identifier(slots[table.name], quoted=True))
        new.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name)))
        table.replace(new)
    for column in tree.find_all(exp.Column):
        if column.text("db"):
            column.set("db", None)
    for parameter in tree.find_all(exp.Parameter):
        parameter.set("this", exp.Var(this=slots[f"@{parameter.name}"]))
    return tree.sql(dialect="bigquery", comments=False), slots


def statements(questions: Iterable[Question], tables_per_query: int) -> list[Statement]:
    """Each distinct question once, those with the same columns together, at most ``tables_per_query`` tables each."""
    alike: dict[tuple[str, ...], list[Question]] = {}
    for question in dict.fromkeys(questions):
        alike.setdefault(question.columns, []).append(question)
    return [Statement(tuple(part)) for group in alike.values() for part in _parts(group, tables_per_query)]


def _parts(questions: Sequence[Question], most: int) -> Iterator[list[Question]]:
    part: list[Question] = []
    tables = 0
    for question in questions:
        if part and tables + len(question.tables) > most:
            yield part
            part, tables = [], 0
        part.append(question)
        tables += len(question.tables)
    if part:
        yield part


def bound(statement: Statement) -> BoundSql:
    """One query: the questions' own texts, numbered, their slots filled."""
    parts = tuple(question.part for question in statement.questions)
    arms = [numbered(number, _filled(part)) for number, part in enumerate(parts)]
    values = {
        name: (kind, value) for question in statement.questions for name, kind, value in question.values
    }
    return BoundSql("\nUNION ALL\n".join(arms), values, parts)


def _filled(part: SqlPart) -> str:
    """Only names that ``resolve`` has checked letter by letter are filled in, each in backticks."""
    text = part.text
    for slot, table in part.tables:
        text = text.replace(f"`{slot}`", ".".join(f"`{name}`" for name in table))
    for slot, name in part.parameters:
        text = text.replace(slot, name)
    return text
