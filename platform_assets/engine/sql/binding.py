"""Makes a checked query a tenant's own: physical table names written through the tree, values bound by name.

Owns the step from logical to physical. Refuses parameters that are missing, left over or of another type than
declared. Nothing is pasted into text, and what was written is parsed again and checked before it is returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

from sqlglot import exp, parse_one

from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.names import SHARED_DATASETS, TableName, physical, tenant_of
from platform_assets.engine.schema.model import FieldType, Scalar
from platform_assets.engine.sql.checked import Transform
from platform_assets.engine.sql.model import BoundSql, Parameters, Value
from platform_assets.engine.sql.statement import parse_query
from platform_assets.engine.sql.transform import dataset_tables, node_problems, tree_problems

_PYTHON_TYPES: Mapping[FieldType, tuple[type, ...]] = {
    FieldType.STRING: (str,),
    FieldType.BYTES: (bytes,),
    FieldType.INT64: (int,),
    FieldType.FLOAT64: (float, int),
    FieldType.NUMERIC: (Decimal, int),
    FieldType.BIGNUMERIC: (Decimal, int),
    FieldType.BOOL: (bool,),
    FieldType.DATE: (date,),
    FieldType.DATETIME: (datetime,),
    FieldType.TIMESTAMP: (datetime,),
    FieldType.JSON: (str,),
}


def bind(transform: Transform, tenant: str, parameters: Parameters) -> BoundSql:
    """The transform for one tenant. ``parameters`` must be exactly ``transform.parameters``, each
    ``name → (type, value)``; a tuple value is an ARRAY. ConfigError lists every parameter that is not so."""
    _check_parameters(transform.file, transform.parameters, parameters)
    return BoundSql(_physical_sql(transform, tenant), dict(parameters))


def bind_query(
    query: str | exp.Query, tenant: str, parameters: Parameters | None = None, *, name: str = "query"
) -> BoundSql:
    """Like ``bind`` for a query that the platform itself made, as BigQuery text or as a tree. It may read the
    datasets that all tenants share; all other rules hold. ``name`` stands for the file in errors."""
    given = parameters or {}
    tree = _checked(query, name)
    used = tuple(sorted({p.name for p in tree.find_all(exp.Parameter)}))
    _check_parameters(name, used, given)
    return BoundSql(_rewrite(tree, tenant), dict(given))


def _checked(query: str | exp.Query, name: str) -> exp.Query:
    tree, problems = parse_query(query) if isinstance(query, str) else (query, [])
    problems = problems or tree_problems(tree, shared=True)
    if problems or not isinstance(tree, exp.Query):
        found = tuple(Problem(name, p.line, "", p.reason, p.nearest) for p in problems)
        raise ConfigError(f"{name} is not a usable query", found)
    return tree


@lru_cache(maxsize=4096)
def _physical_sql(transform: Transform, tenant: str) -> str:
    return _rewrite(transform.tree, tenant)


def bind_dml(tree: exp.Expr, tenant: str, parameters: Parameters, *, name: str) -> BoundSql:
    """A checked INSERT, UPDATE, DELETE or MERGE (``script``) for one tenant. Of ``parameters`` only those are bound
    that it uses; ConfigError where one is missing or of another type."""
    used = tuple(sorted({p.name for p in tree.find_all(exp.Parameter)}))
    given = {n: value for n, value in parameters.items() if n in used}
    _check_parameters(name, used, given)
    return BoundSql(physical_change(tree, tenant), given)


def physical_change(tree: exp.Expr, tenant: str) -> str:
    """BigQuery text of a checked change, on the tenant's own tables."""
    return _rewrite(tree, tenant)


def _rewrite(tree: exp.Expr, tenant: str) -> str:
    """BigQuery text in which every table is the tenant's."""
    tree = tree.copy()
    logical = {(t.db, t.name) for t in dataset_tables(tree)}
    for column in tree.find_all(exp.Column):
        # dataset.table.column: the dataset changes its name, the table does not
        if (column.text("db"), column.table) in logical:
            column.set("db", None)
    for table in list(dataset_tables(tree)):
        own = physical(tenant, TableName(table.db, table.name))
        table.set("db", exp.to_identifier(own.dataset, quoted=True))
        table.set("this", exp.to_identifier(own.table, quoted=True))
        table.meta.pop("quoted_table", None)  # one spelling, however the reference was quoted
    sql = tree.sql(dialect="bigquery", comments=False)
    _verify(sql, tenant)
    return sql


def _verify(sql: str, tenant: str) -> None:
    """Isolation rests on the line above, so the text that leaves is read back: a writer's mistake must not pass."""
    written = parse_one(sql, dialect="bigquery")
    strangers = [
        t for t in dataset_tables(written) if tenant_of(t.db) != tenant and t.db not in SHARED_DATASETS
    ]
    problems = tree_problems if isinstance(written, exp.Query) else node_problems
    if strangers or problems(written, shared=True):
        raise ConfigError(f"the query for {tenant} does not keep to its own tables: {sql}")


def require_parameters(file: str, names: tuple[str, ...], given: Parameters) -> None:
    """ConfigError unless exactly these are given, each of its declared type."""
    _check_parameters(file, names, given)


def _check_parameters(file: str, used: tuple[str, ...], given: Parameters) -> None:
    missing = [f"@{name} is used but not given" for name in used if name not in given]
    extra = [f"@{name} is given but not used" for name in sorted(given) if name not in used]
    wrong = [reason for name in sorted(given) if (reason := _type_problem(name, *given[name]))]
    if missing or extra or wrong:
        problems = tuple(Problem(file, 1, "", reason) for reason in (*missing, *extra, *wrong))
        raise ConfigError(f"{file} cannot be bound", problems)


def _type_problem(name: str, kind: FieldType, value: Value) -> str | None:
    allowed = _PYTHON_TYPES.get(kind, ())
    values = value if isinstance(value, tuple) else (value,)
    for item in values:
        if not _fits(item, kind, allowed):
            return f"@{name} must be {kind}, not {type(item).__name__}"
    return None


def _fits(item: Scalar, kind: FieldType, allowed: tuple[type, ...]) -> bool:
    if item is None:
        return bool(allowed)
    if isinstance(item, bool):
        return kind is FieldType.BOOL
    if isinstance(item, datetime):
        return kind in (FieldType.TIMESTAMP, FieldType.DATETIME) and (
            (item.tzinfo is not None) == (kind is FieldType.TIMESTAMP)
        )
    return isinstance(item, allowed)
