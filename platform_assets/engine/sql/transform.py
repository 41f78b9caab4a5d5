"""A transform: one SELECT in BigQuery's dialect over logical tables, read from a file and checked.

Owns what a tenant's SQL may say. Refuses, each with file and line: anything but one SELECT or WITH; tables that
are not ``dataset.table`` of this platform (project-qualified, unqualified, wildcard, INFORMATION_SCHEMA, shared
datasets); table functions, EXTERNAL_QUERY, functions kept in datasets; parameters that nobody binds; and whatever
the embedded warehouse cannot run with the same meaning.

A tenant's SQL is never edited as text: it is parsed here, and ``binding`` writes it again from the tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches

from sqlglot import exp

from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.names import IDENTIFIER_PATTERN, SHARED_DATASETS, valid_dataset
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.checked import TRANSFORM_PARAMETERS, Transform
from platform_assets.engine.sql.dialect import duckdb_problems
from platform_assets.engine.sql.statement import SqlProblem, parse_query


def dataset_tables(tree: exp.Expr) -> Iterator[exp.Table]:
    """Table references with a dataset; those without one are names of CTEs, once ``check_tree`` has passed."""
    return (t for t in tree.find_all(exp.Table) if t.args.get("db"))


def parse_transform(
    text: str,
    *,
    file: str,
    line_offset: int = 0,
    known_parameters: Mapping[str, FieldType] = TRANSFORM_PARAMETERS,
    check_duckdb: bool = True,
) -> Transform:
    """Parse and check one query. ``line_offset`` is added to reported lines, for SQL inside a larger file.

    Raises one ConfigError with every Problem found. ``check_duckdb`` False is for a query that runs elsewhere: its
    tables need not be the platform's, nor DuckDB know its functions.
    """

    def fail(problems: list[SqlProblem]) -> None:
        if problems:
            found = tuple(
                sorted({Problem(file, p.line + line_offset, "", p.reason, p.nearest) for p in problems})
            )
            raise ConfigError(f"{file} is not a usable transform", found)

    tree, problems = parse_query(text)
    fail(problems)
    fail([*tree_problems(tree), *parameter_problems(tree, known_parameters)])
    fail([*_layer_problems(tree), *duckdb_problems(tree)] if check_duckdb else [])
    assert isinstance(tree, exp.Query)
    transform = Transform(file, text)
    vars(transform)["tree"] = tree
    return transform


# --- The tree ----------------------------------------------------------------------------------------------------


def line_of(node: exp.Expr) -> int:
    """The line of a node: its own, else of the first identifier inside, else of what stands closest around it."""
    for place in (node, *_ancestors(node)):
        for candidate in place.walk():
            if "line" in candidate.meta:
                return int(candidate.meta["line"])
    return 1


def _ancestors(node: exp.Expr) -> Iterator[exp.Expr]:
    while node.parent is not None:
        node = node.parent
        yield node


def tree_problems(tree: exp.Expr, *, shared: bool = False) -> list[SqlProblem]:
    """Everything a query may not say, whoever wrote it. ``shared`` allows the datasets all tenants share."""
    if not isinstance(tree, exp.Query):
        return [SqlProblem(1, f"only one SELECT or WITH query is allowed, not {tree.key.upper()}")]
    return node_problems(tree, shared=shared)


def node_problems(tree: exp.Expr, *, shared: bool = False) -> list[SqlProblem]:
    """What no statement may say, be it a query or a change."""
    found = []
    for node in tree.walk():
        check = _table_problem if isinstance(node, exp.Table) else _NODE_CHECKS.get(type(node))
        reason = check(node) if check else None
        if reason is None and isinstance(node, exp.Table) and not shared and node.db in SHARED_DATASETS:
            reason = f"dataset {node.db!r} is shared by all tenants and not open to a tenant's SQL"
        if reason:
            found.append(SqlProblem(line_of(node), reason))
    return found


def _table_problem(node: exp.Expr) -> str | None:
    assert isinstance(node, exp.Table)
    if not isinstance(node.this, exp.Identifier):
        if not isinstance(node.this, exp.Func):
            return f"{node.this.sql(dialect='bigquery')} is not a table name; write dataset.table"
        name = node.this.name if isinstance(node.this, exp.Anonymous) else node.this.key
        return f"table function {name.upper()} is not allowed; only tables, CTEs and UNNEST"
    name = ".".join(part.name for part in node.parts)
    if re.search(r"INFORMATION_SCHEMA|__TABLES", name.upper()):
        return f"{name} is metadata of the warehouse, not a table of the platform"
    if node.args.get("catalog"):
        return f"{name} names a project; write dataset.table"
    if "*" in name:
        return f"{name} is a wildcard table; name one table"
    if node.args.get("version") or node.args.get("when"):
        return f"{name}: FOR SYSTEM_TIME AS OF is not supported by every warehouse"
    return _dataset_problem(node, name)


def _dataset_problem(table: exp.Table, name: str) -> str | None:
    if not table.args.get("db"):
        known = None if _is_cte(table) else f"{name} is neither a CTE nor dataset.table"
        return known
    if table.db.lower() in _neighbours(table):
        return f"{name} looks like an array of {table.db}; write UNNEST({name})"
    if not all(IDENTIFIER_PATTERN.fullmatch(part) for part in (table.db, table.name)):
        return f"{name} is not a table name; write dataset.table"
    return None


def _layer_problems(tree: exp.Expr) -> list[SqlProblem]:
    return [
        SqlProblem(line_of(t), f"{t.db}.{t.name}: a dataset is raw_…, silver_…, gold_… or metadata")
        for t in dataset_tables(tree)
        if not valid_dataset(t.db)
    ]


def _is_cte(table: exp.Table) -> bool:
    """A CTE may be named by the query that holds it and by the CTEs after it; by itself only if RECURSIVE."""
    inside: exp.Expr = table
    for node in _ancestors(table):
        with_ = node if isinstance(node, exp.With) else node.args.get("with_")
        if with_ is not None and with_ is not inside and table.name.lower() in _visible(with_, inside):
            return True
        inside = node
    return False


def _visible(with_: exp.With, inside: exp.Expr) -> list[str]:
    names = [cte.alias.lower() for cte in with_.expressions]
    own = next((i for i, cte in enumerate(with_.expressions) if cte is inside), None)
    return names if own is None or with_.recursive else names[:own]


def _neighbours(table: exp.Table) -> set[str]:
    select = table.parent_select
    if not isinstance(select, exp.Select):
        return set()
    sources = [select.args.get("from_"), *(select.args.get("joins") or ())]
    others = [s.this for s in sources if s is not None and s.this is not table]
    return {o.alias_or_name.lower() for o in others if isinstance(o, exp.Table | exp.Subquery)}


def _qualified_function(node: exp.Expr) -> str | None:
    if isinstance(node, exp.Dot) and not isinstance(node.expression, exp.Func):
        return None
    return f"{node.sql(dialect='bigquery')}: functions of a dataset or namespace are not allowed"


def _system_variable(node: exp.Expr) -> str | None:
    return "system variables (@@name) are not allowed" if isinstance(node.this, exp.Parameter) else None


def _refuse(reason: str) -> Callable[[exp.Expr], str]:
    return lambda node: reason


_NODE_CHECKS: Mapping[type[exp.Expr], Callable[[exp.Expr], str | None]] = {
    exp.Dot: _qualified_function,
    exp.NetFunc: _qualified_function,
    exp.Parameter: _system_variable,
    exp.Placeholder: _refuse("positional parameters (?) are not allowed; name them: @run_date"),
    exp.Into: _refuse("SELECT INTO is not allowed"),
    exp.Lock: _refuse("FOR UPDATE is not allowed"),
    exp.TableSample: _refuse("TABLESAMPLE gives another answer each time"),
    exp.Command: _refuse("not a query"),
}


def parameter_problems(tree: exp.Expr, known: Mapping[str, FieldType]) -> list[SqlProblem]:
    """Parameters that nobody binds."""
    unknown = [p for p in tree.find_all(exp.Parameter) if p.name not in known]
    return [
        SqlProblem(
            line_of(p),
            f"@{p.name} is not a parameter; there are {', '.join('@' + n for n in sorted(known)) or 'none'}",
            next((f"@{n}" for n in get_close_matches(p.name, list(known), n=1)), None),
        )
        for p in unknown
    ]
