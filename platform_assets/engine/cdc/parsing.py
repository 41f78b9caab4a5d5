"""A monitor's query: read from its text and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.checked import SOURCE_DATASET, Transform
from platform_assets.engine.sql.dialect import duckdb_problems
from platform_assets.engine.sql.statement import SqlProblem
from platform_assets.engine.sql.transform import dataset_tables, line_of, parse_transform

BUILT_IN: Mapping[str, FieldType] = {"source_timestamp": FieldType.TIMESTAMP}


def parse_query(text: str, file: str, parameters: Iterable[str]) -> Transform:
    """A monitor's query, checked. ``parameters``: the variables it binds. ConfigError has a Problem for each mistake,
    its line counted from the query's first."""
    bound = tuple(parameters)
    known = {**BUILT_IN, **dict.fromkeys(bound, FieldType.STRING)}
    transform = parse_transform(text, file=file, known_parameters=known, check_duckdb=False)
    wrong = [*_foreign_tables(transform), *_unnamed_columns(transform), *duckdb_problems(transform.tree)]
    wrong += [
        SqlProblem(1, f"the parameter {name!r} is not used by the query")
        for name in bound
        if name not in transform.parameters
    ]
    if wrong:
        found = tuple(Problem(file, p.line, "", p.reason, p.nearest) for p in wrong)
        raise ConfigError(f"{file} is not a usable query", found)
    return transform


def _foreign_tables(transform: Transform) -> Iterator[SqlProblem]:
    for table in dataset_tables(transform.tree):
        if table.db != SOURCE_DATASET:
            reason = f"{table.db}.{table.name} is not a table of the message; write {SOURCE_DATASET}.<table>"
            yield SqlProblem(line_of(table), reason)


def _unnamed_columns(transform: Transform) -> Iterator[SqlProblem]:
    names = transform.columns
    if "*" in names or not all(select.output_name for select in transform.tree.selects):
        yield SqlProblem(1, "every result column needs a name; * has none")
    if twice := sorted({n for n in names if names.count(n) > 1}):
        yield SqlProblem(1, f"two result columns are called {twice[0]!r}")
