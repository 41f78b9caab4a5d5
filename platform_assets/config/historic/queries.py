"""Old query texts as queries of ours: logical tables, bound dates, constants in their place.

Placeholders are text in the old forms and have to be replaced as text; table names and ``@parameters`` are replaced in
the parsed tree. Refuses tables that nobody fills and placeholders that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from platform_assets.config.historic.words import DATES, filled, literal
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import FieldType, TableSchema
from platform_assets.engine.sql.statement import parse_query
from platform_assets.engine.sql.transform import dataset_tables, parse_transform

OWN_DATASET = "own_dataset__"  # stands in the text where the old form had the organization's dataset
_OWN_WORDS = frozenset({"org_dataset", "dataset", "dataset_id"})


@dataclass(frozen=True)
class Translated:
    """``sql`` is None where ``problems`` are."""

    sql: str | None
    problems: tuple[str, ...] = ()


def query(
    text: str, names: Mapping[str, str], constants: Mapping[str, Any], table: Callable[[str], str | None]
) -> Translated:
    """``names``: words that stand for parts of table names; ``constants``: parameters with their values;
    ``table(full name)``: the logical ``dataset.table`` of an old table, or None where there is none."""
    text, unknown = filled(text, _words(names, constants))
    if unknown:
        return Translated(None, tuple(f"nothing fills {{{word}}}" for word in dict.fromkeys(unknown)))
    tree, wrong = parse_query(text)
    if wrong:
        return Translated(None, tuple(f"line {p.line} of the query: {p.reason}" for p in wrong))
    problems = [*_rename(tree, table), *_bind(tree, constants)]
    return Translated(None if problems else tree.sql("bigquery", pretty=True) + "\n", tuple(problems))


def _words(names: Mapping[str, str], constants: Mapping[str, Any]) -> Callable[[str, str], str | None]:
    def known(word: str, quote: str) -> str | None:
        if word in names:
            return f"{quote}{names[word]}{quote}"
        if word in DATES:
            return "@run_date"
        if word in constants:
            return literal(constants[word])
        if word in ("org_slug", "tenant", "tenant_id"):
            return "@tenant" if quote else OWN_DATASET
        if word == "pipeline_id":
            return "@pipeline"
        return OWN_DATASET if word in _OWN_WORDS else None

    return known


def _rename(tree: Any, table: Callable[[str], str | None]) -> Iterator[str]:
    from sqlglot import exp

    for node in list(dataset_tables(tree)):
        name = ".".join(part.name for part in node.parts)
        logical = table(name)
        if logical is None:
            yield f"reads {name}, which no step of the pipeline fills"
            continue
        dataset, _, new = logical.partition(".")
        alias = node.args.get("alias")
        node.replace(exp.table_(new, db=dataset, alias=alias.name if alias else None))


def _bind(tree: Any, constants: Mapping[str, Any]) -> Iterator[str]:
    from sqlglot import exp, parse_one

    for node in list(tree.find_all(exp.Parameter)):
        if node.name in DATES:
            node.set("this", exp.var("run_date"))
        elif node.name in constants:
            node.replace(parse_one(literal(constants[node.name]), dialect="bigquery"))
        elif node.name not in ("tenant", "pipeline"):
            yield f"nothing fills @{node.name}"


def with_day(sql: str, column: str, kind: str) -> str:
    """The query with its partition column held to the run date, in its own WHERE."""
    from sqlglot import parse_one

    low, high = "@run_date", "@next_date"
    if kind != "DATE":
        low, high = f"TIMESTAMP({low})", f"TIMESTAMP({high})"
    tree: Any = parse_one(sql, dialect="bigquery")
    dated = tree.where(f"{column} >= {low} AND {column} < {high}", dialect="bigquery")
    return str(dated.sql("bigquery", pretty=True)) + "\n"


def tables_of(sql: str) -> list[TableName]:
    """The tables with a dataset that a query reads."""
    from sqlglot import parse_one

    return [TableName(t.db, t.name) for t in dataset_tables(parse_one(sql, dialect="bigquery"))]


def is_dated(sql: str) -> bool:
    """Whether the query asks for the run date at all."""
    from sqlglot import exp, parse_one

    return any(p.name == "run_date" for p in parse_one(sql, dialect="bigquery").find_all(exp.Parameter))


def result_schema(
    sql: str, file: str, schemas: Mapping[TableName, TableSchema]
) -> tuple[list[dict[str, str]], list[str]]:
    """The result's columns as a schema file has them, and the names of those that need a schema by hand: their type
    does not follow from the tables read, or is nested. ConfigError where the query cannot be resolved."""
    from platform_assets.engine.sql.lineage import output_types

    types = output_types(parse_transform(sql, file=file), schemas)
    columns = [{"name": name, "type": kind} for name, kind in types.items() if kind in _PLAIN]
    return columns, [name for name, kind in types.items() if kind not in _PLAIN]


_PLAIN = frozenset(kind.value for kind in FieldType) - {FieldType.STRUCT.value}
