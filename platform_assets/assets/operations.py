"""Procedures and migrations of a tenant: what is deployed where, bringing it up to date, running it. No Dagster here.

Each tenant's ``metadata.procedures`` holds the text that is deployed, with its hash and time, ``metadata.migrations``
each migration that was applied, written in the migration's own transaction. On BigQuery a procedure is created in the
tenant's metadata dataset for whoever calls it there; ``run`` runs the same changes as one transaction on every
warehouse. DuckDB keeps no procedures, so there only the record is kept.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from platform_assets.engine.errors import ConfigError, ConflictError, PlatformError
from platform_assets.engine.names import TableName
from platform_assets.engine.pipelines import Configuration
from platform_assets.engine.procedures import Migration, Procedure, in_call_order, reached, typed_values
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.binding import bind_dml, bind_query
from platform_assets.engine.sql.model import BoundSql, Parameters
from platform_assets.engine.sql.script import (
    Change,
    affected_rows,
    bound_migration,
    bound_procedure,
    inlined,
    procedure_sql,
)
from platform_assets.ports import Warehouse

SAMPLE = 5
PROCEDURES = TableName("metadata", "procedures")
MIGRATIONS = TableName("metadata", "migrations")


@dataclass(frozen=True)
class Deployed:
    """``state``: ``new``, ``changed`` or ``same`` of a file; ``orphan`` where there is none any more."""

    name: str
    state: str
    deployed_at: datetime | None = None
    content: str = ""


@dataclass(frozen=True)
class Preview:
    """What one change would touch as things are now: how many rows, and a few of them."""

    change: str
    rows: int
    sample: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Operations:
    """Procedures and migrations of one tenant, through one warehouse. ``now`` has a zone."""

    configuration: Configuration
    warehouse: Warehouse
    tenant: str
    now: datetime

    # --- procedures ---

    def deployed(self) -> list[Deployed]:
        """By name, orphans included."""
        self._ready(PROCEDURES)
        columns = "SELECT procedure_name, content_hash, content, deployed_at FROM metadata.procedures"
        there = {row["procedure_name"]: row for row in self._rows(columns)}
        found = []
        for name in sorted({*there, *self.configuration.procedures}):
            row, file = there.get(name), self.configuration.procedures.get(name)
            found.append(
                Deployed(
                    name,
                    _state(file, row),
                    row["deployed_at"] if row else None,
                    row["content"] if row else "",
                )
            )
        return found

    def diff(self) -> Iterator[str]:
        """What ``sync`` would change, as unified diffs."""
        for one in self.deployed():
            file = self.configuration.procedures.get(one.name)
            text = file.text if file else ""
            yield from difflib.unified_diff(
                one.content.splitlines(),
                text.splitlines(),
                f"{self.tenant}/{one.name} deployed",
                f"{self.tenant}/{one.name} {file.file if file else 'no file'}",
                lineterm="",
            )

    def sync(self, *, prune: bool = False) -> list[str]:
        """Deploy what is new or changed, called ones first. A procedure is deployed again when one that it calls has
        changed, since it holds its text. Orphans are reported, and dropped with ``prune``."""
        states = {one.name: one.state for one in self.deployed()}
        stale = {name for name, state in states.items() if state in ("new", "changed")}
        procedures, told = self.configuration.procedures, []
        for procedure in in_call_order(procedures):
            if stale & reached(procedure.name, procedures):
                self.warehouse.store_procedure(
                    self.tenant, procedure.name, procedure_sql(procedure.name, procedures, self.tenant)
                )
                self._record(procedure)
                told.append(
                    f"{procedure.name}: {states[procedure.name].replace('same', 'what it calls changed')}"
                )
        for name in sorted(name for name, state in states.items() if state == "orphan"):
            if prune:
                self.warehouse.store_procedure(self.tenant, name, None)
                self.warehouse.execute(self.tenant, [self._forget(name)])
            told.append(f"{name}: orphan{', dropped' if prune else '; its file is gone (--prune drops it)'}")
        return told

    def procedure(self, name: str) -> Procedure:
        """ConfigError where there is none."""
        found = self.configuration.procedures.get(name)
        if found is None:
            raise ConfigError(f"there is no procedure {name!r}{_guess(name, self.configuration.procedures)}")
        return found

    def run(self, name: str, given: Mapping[str, str]) -> tuple[int, ...]:
        """Rows changed by each statement, all in one transaction. ``given`` are texts, see ``typed_values``."""
        values = typed_values(self.procedure(name), given)
        self._tables_ready(name)
        script = bound_procedure(name, self.configuration.procedures, self.tenant, values)
        return self.warehouse.execute(self.tenant, script)

    def preview(self, name: str, given: Mapping[str, str]) -> list[Preview]:
        """What ``run`` would touch; nothing is changed."""
        values = typed_values(self.procedure(name), given)
        self._tables_ready(name)
        changes = inlined(name, self.configuration.procedures)
        return [self._preview(change, values, self.procedure(name).file) for change in changes]

    # --- migrations ---

    def pending(self) -> list[Migration]:
        """Not applied yet, by number. ConfigError where a file was edited after it was applied."""
        self._ready(MIGRATIONS)
        rows = self._rows("SELECT migration_number, content_hash FROM metadata.migrations")
        applied = {row["migration_number"]: row["content_hash"] for row in rows}
        edited = [
            m.file
            for m in self.configuration.migrations
            if applied.get(m.number, m.content_hash) != m.content_hash
        ]
        if edited:
            raise ConfigError(
                f"{self.tenant}: changed after it was applied: {', '.join(edited)}; add a new one"
            )
        return [m for m in self.configuration.migrations if m.number not in applied]

    def migrate(self, migration: Migration) -> tuple[int, ...]:
        """Rows changed by each statement; the record is written in the same transaction, and what another process
        applied meanwhile is not applied again (ConflictError)."""
        for table in (*migration.writes, *migration.reads):
            self._ready(table)
        changes = bound_migration(migration.script, self.tenant)
        done = bind_query(
            "SELECT 1 AS one FROM metadata.migrations WHERE migration_number = @m_number",
            self.tenant,
            {"m_number": (FieldType.INT64, migration.number)},
        )
        record = self._insert(
            "migrations",
            {
                "m_number": (FieldType.INT64, migration.number),
                "m_name": (FieldType.STRING, migration.name),
                "m_hash": (FieldType.STRING, migration.content_hash),
            },
            ("migration_number", "migration_name", "content_hash"),
            "applied_at",
        )
        return self.warehouse.execute(self.tenant, [*changes, record], unless=done)[: len(changes)]

    def preview_migration(self, migration: Migration) -> list[Preview]:
        for table in (*migration.writes, *migration.reads):
            self._ready(table)
        return [self._preview(change, {}, migration.file) for change in migration.script.changes]

    # --- inside ---

    def _preview(self, change: Change, values: Parameters, file: str) -> Preview:
        bound = affected_rows(change, self.tenant, values, file)
        (counted,) = self.warehouse.query(self.tenant, _counted(bound)).to_pylist()
        sample = self.warehouse.query(self.tenant, _sampled(bound)).to_pylist()
        return Preview(f"{change.tree.key.upper()} {change.target}", counted["n"], sample)

    def _tables_ready(self, name: str) -> None:
        for one in sorted(reached(name, self.configuration.procedures)):
            procedure = self.configuration.procedures[one]
            for table in (*procedure.writes, *procedure.reads):
                self._ready(table)

    def _ready(self, table: TableName) -> None:
        """A table that nothing has filled yet is empty, not missing."""
        self.warehouse.ensure_table(self.tenant, self.configuration.table(table))

    def _rows(self, sql: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.warehouse.query(
            self.tenant, bind_query(sql, self.tenant)
        ).to_pylist()
        return rows

    def _record(self, procedure: Procedure) -> None:
        insert = self._insert(
            "procedures",
            {
                "m_name": (FieldType.STRING, procedure.name),
                "m_domain": (FieldType.STRING, procedure.domain),
                "m_hash": (FieldType.STRING, procedure.content_hash),
                "m_content": (FieldType.STRING, procedure.text),
            },
            ("procedure_name", "domain", "content_hash", "content"),
            "deployed_at",
        )
        self.warehouse.execute(self.tenant, [self._forget(procedure.name), insert])

    def _forget(self, name: str) -> BoundSql:
        return self._bound(
            "DELETE FROM metadata.procedures WHERE procedure_name = @m_name",
            {"m_name": (FieldType.STRING, name)},
        )

    def _insert(
        self, table: str, values: Mapping[str, tuple[FieldType, Any]], columns: Sequence[str], at: str
    ) -> BoundSql:
        more: dict[str, tuple[FieldType, Any]] = {
            "m_tenant": (FieldType.STRING, self.tenant),
            "m_version": (FieldType.STRING, self.configuration.version),
            "m_at": (FieldType.TIMESTAMP, self.now),
            "m_day": (FieldType.DATE, self.now.date()),
        }
        given = {**values, **more}
        names = ", ".join((*columns, "tenant_id", "config_version", at, "ingestion_date"))
        marks = ", ".join(f"@{name}" for name in given)
        return self._bound(f"INSERT INTO metadata.{table} ({names}) VALUES ({marks})", given)  # noqa: S608 - own names only

    def _bound(self, sql: str, values: Mapping[str, tuple[FieldType, Any]]) -> BoundSql:
        from sqlglot import parse_one

        return bind_dml(parse_one(sql, dialect="bigquery"), self.tenant, values, name="record")


def require_tenants(configuration: Configuration, names: Sequence[str]) -> list[str]:
    """The named tenants, or all. ConfigError for one that is not there."""
    for name in names:
        if name not in configuration.tenants:
            raise ConfigError(f"there is no tenant {name!r}{_guess(name, configuration.tenants)}")
    return list(names) or list(configuration.tenants)


def migrate_tenants(every: Sequence[Operations]) -> Iterator[tuple[str, str]]:
    """Every tenant's pending migrations in order; (tenant, what happened). A failed one ends that tenant's only: what
    comes after it may need it."""
    for operations in every:
        try:
            for migration in operations.pending():
                rows = operations.migrate(migration)
                yield operations.tenant, f"{migration.file}: {sum(rows)} rows"
        except ConflictError as error:
            yield operations.tenant, f"applied by another process meanwhile: {error}"
        except PlatformError as error:
            yield operations.tenant, f"FAILED: {error}"


def _guess(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _state(file: Procedure | None, row: Mapping[str, Any] | None) -> str:
    if file is None:
        return "orphan"
    if row is None:
        return "new"
    return "same" if row["content_hash"] == file.content_hash else "changed"


def _counted(query: BoundSql) -> BoundSql:
    return BoundSql(f"SELECT COUNT(*) AS n FROM ({query.sql}) AS rows_", query.parameters)  # noqa: S608


def _sampled(query: BoundSql) -> BoundSql:
    return BoundSql(f"SELECT * FROM ({query.sql}) AS rows_ LIMIT {SAMPLE}", query.parameters)  # noqa: S608
