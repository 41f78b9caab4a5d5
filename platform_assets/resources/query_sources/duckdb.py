"""Other systems' tables in DuckDB files: for trying billing exports without a cloud, and for tests.

``project.dataset.table`` is table ``table`` of schema ``dataset`` in ``<folder>/<project>.duckdb``. A table name ending
in ``*`` is the union of the tables it matches, by name. Files are opened read-only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.engine.errors import ConfigError, DataError, NotFoundError, RetryableError
from platform_assets.engine.spec import Spec
from platform_assets.engine.sql.model import BoundSql, SqlPart, numbered
from platform_assets.ports import QuerySource, Secret

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BATCH_ROWS = 65_536
_ATTACHED = "origin"


class DuckDBSourcesSettings(Spec):
    """``folder`` holds one DuckDB file per project."""

    folder: str


class DuckDBSources:
    """See ``ports.QuerySources``. Credentials are not needed."""

    def __init__(self, settings: DuckDBSourcesSettings) -> None:
        self._folder = Path(settings.folder)

    def open(self, parameters: Mapping[str, Any], secret: Secret | None) -> QuerySource:
        return DuckDBQuerySource(self._folder)


class DuckDBQuerySource:
    """See ``engine.ingestion.query.QuerySource``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def query(self, query: BoundSql, *, maximum_bytes_billed: int) -> Iterator[pa.RecordBatch]:
        import duckdb

        sql, project = self._local(query)
        with self._connect(project) as connection:
            try:
                values = {name: value for name, (_, value) in query.parameters.items()}
                reader: Any = connection.sql(sql, params=values).to_arrow_reader(_BATCH_ROWS)
                yield from reader
            except duckdb.CatalogException as error:
                raise NotFoundError(f"source {project}: {error}") from error
            except duckdb.Error as error:
                raise DataError(f"source {project}: {error}") from error

    def present(self, project: str, dataset: str, tables: Sequence[str]) -> frozenset[str]:
        try:
            with self._connect(project) as connection:
                found = connection.execute(
                    "SELECT table_name FROM information_schema.tables WHERE table_catalog = ? AND table_schema = ?"
                    " AND table_name IN (SELECT unnest(?))",
                    [_ATTACHED, dataset, list(tables)],
                ).fetchall()
        except NotFoundError:
            return frozenset()
        return frozenset(name for (name,) in found)

    def estimate(self, query: BoundSql) -> int:
        """DuckDB does not say; 0 bytes are billed."""
        return 0

    def _local(self, query: BoundSql) -> tuple[str, str]:
        """The query in DuckDB's words, and the one project it reads."""
        if query.parts:
            return _union(query.parts)
        from sqlglot import exp, parse_one

        from platform_assets.engine.sql.dialect import to_duckdb

        tree = parse_one(query.sql, dialect="bigquery")
        projects = sorted({t.catalog for t in tree.find_all(exp.Table) if t.db})
        if len(projects) != 1 or not projects[0]:
            raise ConfigError("a source's query reads tables of exactly one project: project.dataset.table")
        for table in list(tree.find_all(exp.Table)):
            if table.db:
                table.set("catalog", exp.to_identifier(_ATTACHED, quoted=True))
                if table.name.endswith("*"):
                    self._expand(table, projects[0])
        return to_duckdb(tree.sql(dialect="bigquery")), projects[0]

    def _expand(self, table: Any, project: str) -> None:
        """A wildcard table becomes the union of what it matches."""
        from sqlglot import exp

        with self._connect(project) as connection:
            found = connection.execute(
                "SELECT table_name FROM information_schema.tables"
                " WHERE table_catalog = ? AND table_schema = ? AND starts_with(table_name, ?) ORDER BY 1",
                [_ATTACHED, table.db, table.name[:-1]],
            ).fetchall()
        if not found:
            raise NotFoundError(f"source {project}: no table {table.db}.{table.name}")
        tables = [exp.table_(name, db=table.db, catalog=_ATTACHED, quoted=True) for (name,) in found]
        parts = [exp.select("*").from_(one) for one in tables]
        union = parts[0] if len(parts) == 1 else exp.union(*parts, distinct=False)
        table.replace(union.subquery(table.alias or None))

    def _connect(self, project: str) -> duckdb.DuckDBPyConnection:
        import duckdb

        from platform_assets.engine.sql.dialect import DUCKDB_MACROS

        file = self._folder / f"{project}.duckdb"
        if not file.is_file():
            raise NotFoundError(f"source {project}: there is no file {file}")
        try:
            connection = duckdb.connect()
            connection.execute(
                f"ATTACH '{str(file).replace(chr(39), chr(39) * 2)}' AS {_ATTACHED} (READ_ONLY)"
            )
            for macro in DUCKDB_MACROS:
                connection.execute(macro)
            connection.execute("SET TimeZone = 'UTC'")
        except duckdb.IOException as error:
            raise RetryableError(f"source {project}: {error}") from error
        return connection


def _union(parts: Sequence[SqlPart]) -> tuple[str, str]:
    """Queries put together, each translated once however many tables it is asked about."""
    projects = sorted({project for part in parts for _, (project, _, _) in part.tables})
    if len(projects) != 1:
        raise ConfigError("a source's query reads tables of exactly one project")
    arms = [numbered(number, _filled(part)) for number, part in enumerate(parts)]
    return "\nUNION ALL\n".join(arms), projects[0]


def _filled(part: SqlPart) -> str:
    from platform_assets.engine.sql.dialect import to_duckdb

    text = to_duckdb(part.text)
    for slot, (_, dataset, table) in part.tables:
        names = (_ATTACHED, dataset, table)
        text = text.replace(f'"{slot}"', ".".join('"' + name.replace('"', '""') + '"' for name in names))
    for slot, name in part.parameters:
        text = text.replace(slot, name)
    return text
