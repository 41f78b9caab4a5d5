"""A ``sql`` source's query for one slice: real table names written through the tree, dates bound by name.

Owns the step from ``source.<name>`` to the other system's tables. Refuses table names that are more than names: what
a credential's parameters hold never becomes SQL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.ingestion.spec import SqlSource
from platform_assets.engine.ingestion.variables import render
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.checked import SOURCE_DATASET, Transform
from platform_assets.engine.sql.model import BoundSql

_PARAMETERS = ("run_date", "next_date", "month_start", "month_end")
_PROJECT = r"(?:(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{0,61}[a-z0-9]\.)?"
_REAL_TABLE = re.compile(_PROJECT + r"[A-Za-z0-9_-]{1,1024}\.[\w-]{1,1024}\*?", re.ASCII)


def bind_source(source: SqlSource, query: Transform, variables: Mapping[str, Any]) -> BoundSql:
    """The query of one slice; ``variables`` as of ``slice_variables``. ConfigError names a table or parameter
    that cannot be used."""
    from sqlglot import exp

    from platform_assets.engine.sql.transform import dataset_tables

    real = {name: _real(name, text, variables) for name, text in source.tables.items()}
    tree = query.tree.copy()
    for table in list(dataset_tables(tree)):
        if table.db != SOURCE_DATASET or table.name not in real:
            raise ConfigError(f"{query.file}: {table.db}.{table.name} is not a table of the source")
        new = exp.Table(**_parts(real[table.name]))
        new.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name)))
        table.replace(new)
    for column in tree.find_all(exp.Column):
        if column.text("db") == SOURCE_DATASET:
            column.set("db", None)
    unknown = sorted(set(query.parameters) - set(_PARAMETERS))
    if unknown:
        raise ConfigError(
            f"{query.file}: @{unknown[0]} has no meaning for a source; use {', '.join(_PARAMETERS)}"
        )
    values = {n: (FieldType.DATE, date.fromisoformat(variables[n])) for n in query.parameters}
    return BoundSql(tree.sql(dialect="bigquery", comments=False), values)


def _real(name: str, template: str, variables: Mapping[str, Any]) -> str:
    text = render(template, variables)
    if not _REAL_TABLE.fullmatch(text):
        raise ConfigError(f"source table {name}: {text!r} is not [project.]dataset.table")
    return text


def _parts(name: str) -> dict[str, Any]:
    from sqlglot import exp

    parts = name.rsplit(".", 2)
    keys = ("catalog", "db", "this")[-len(parts) :]
    return {key: exp.to_identifier(part, quoted=True) for key, part in zip(keys, parts, strict=True)}
