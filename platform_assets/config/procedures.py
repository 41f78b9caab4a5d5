"""``procedures/<domain>/<name>.sql`` and ``migrations/<number>_<name>.sql``: found, checked, and remembered.

Their SQL is checked once and what it does is kept in the query cache, so that a run process parses none of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, TypeVar

from platform_assets.config.query_cache import QueryCache
from platform_assets.config.reading import nearest
from platform_assets.config.tree import relative
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.names import TableName
from platform_assets.engine.procedures import Call, Migration, Procedure, call_problems
from platform_assets.engine.schema.model import FieldType

_MIGRATION = re.compile(r"(\d{4})_([a-z][a-z0-9_]{0,99})")
_DOMAIN = re.compile(r"[a-z][a-z0-9_]{0,99}")
_T = TypeVar("_T")


def read_procedures(root: Path, queries: QueryCache, problems: list[Problem]) -> dict[str, Procedure]:
    """By name, sorted. A name stands for one file in all domains."""
    found: dict[str, Procedure] = {}
    for path in sorted((root / "procedures").rglob("*")):
        if path.is_dir():
            continue
        file, domain = relative(root, path), path.parent.name
        if (
            path.suffix != ".sql"
            or path.parent.parent != root / "procedures"
            or not _DOMAIN.fullmatch(domain)
        ):
            problems.append(
                Problem(file, 1, "", "is not read; procedures are procedures/<domain>/<name>.sql")
            )
        elif path.stem in found:
            problems.append(Problem(file, 1, "", f"{path.stem} is also {found[path.stem].file}"))
        elif made := _procedure(path, file, domain, queries, problems):
            found[path.stem] = made
    wrong = call_problems(found)
    problems += wrong
    return {} if wrong else dict(sorted(found.items()))


def read_migrations(root: Path, queries: QueryCache, problems: list[Problem]) -> tuple[Migration, ...]:
    """In the order of their numbers."""
    found: dict[int, Migration] = {}
    for path in sorted((root / "migrations").glob("*")):
        file, match = relative(root, path), _MIGRATION.fullmatch(path.stem)
        if path.suffix != ".sql" or match is None:
            problems.append(Problem(file, 1, "", "is not read; migrations are migrations/<0001>_<name>.sql"))
        elif int(match[1]) in found:
            problems.append(Problem(file, 1, "", f"number {match[1]} is also {found[int(match[1])].file}"))
        elif made := _migration(path, file, int(match[1]), match[2], queries, problems):
            found[made.number] = made
    return tuple(migration for _, migration in sorted(found.items()))


def unknown_tables(scripts: Iterable[Procedure | Migration], known: Collection[str]) -> list[Problem]:
    """Tables that no pipeline fills and no run writes."""
    return [
        Problem(script.file, 1, "", f"there is no table {table}", nearest(str(table), known))
        for script in scripts
        for table in sorted({*script.writes, *script.reads})
        if str(table) not in known
    ]


def _procedure(
    path: Path, file: str, domain: str, queries: QueryCache, problems: list[Problem]
) -> Procedure | None:
    text = path.read_text("utf-8")

    def find() -> dict[str, Any]:
        from platform_assets.engine.sql.script import parse_procedure

        script = parse_procedure(text, file=file, name=path.stem)
        return {
            "parameters": {name: str(kind) for name, kind in script.parameters.items()},
            "writes": [str(table) for table in script.writes],
            "reads": [str(table) for table in script.reads],
            "calls": [[call.line, call.name, list(call.arguments)] for call in script.calls],
        }

    def read(facts: Any) -> Procedure:
        return Procedure(
            path.stem,
            domain,
            file,
            text,
            {name: FieldType(kind) for name, kind in facts["parameters"].items()},
            _tables(facts["writes"]),
            _tables(facts["reads"]),
            tuple(Call(line, name, tuple(arguments)) for line, name, arguments in facts["calls"]),
        )

    return _remembered(queries, text, f"procedure {path.stem}", find, read, problems)


def _migration(
    path: Path, file: str, number: int, name: str, queries: QueryCache, problems: list[Problem]
) -> Migration | None:
    text = path.read_text("utf-8")

    def find() -> dict[str, Any]:
        from platform_assets.engine.sql.script import parse_migration

        script = parse_migration(text, file=file)
        return {"writes": [str(t) for t in script.writes], "reads": [str(t) for t in script.reads]}

    def read(facts: Any) -> Migration:
        return Migration(number, name, file, text, _tables(facts["writes"]), _tables(facts["reads"]))

    return _remembered(queries, text, "migration", find, read, problems)


def _remembered(
    queries: QueryCache,
    text: str,
    checks: str,
    find: Callable[[], dict[str, Any]],
    read: Callable[[Any], _T],
    problems: list[Problem],
) -> _T | None:
    try:
        return queries.facts(text, checks=checks, find=find, read=read)
    except ConfigError as error:
        problems += error.problems
        return None


def _tables(names: Iterable[str]) -> tuple[TableName, ...]:
    return tuple(TableName.parse(name) for name in names)
