"""Creating, altering, describing and dropping tables and their datasets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from platform_assets.engine.errors import ConflictError, NotFoundError
from platform_assets.engine.names import TableName, physical_dataset
from platform_assets.engine.schema.model import TableSchema, TableSpec
from platform_assets.engine.schema.planning import WidenColumn, plan_changes
from platform_assets.engine.sql.model import BoundSql
from platform_assets.resources.warehouse.bigquery.connection import Connection
from platform_assets.resources.warehouse.bigquery.schema import (
    labels,
    new_table,
    option_changes,
    patched_fields,
    relaxed,
    rest_fields,
    table_schema,
    widening_statements,
)

if TYPE_CHECKING:
    from google.cloud.bigquery import Table

_LOOKS = 5


class Tables:
    """A table found right is not looked at again for ``schema_cache_seconds``."""

    def __init__(self, connection: Connection, clock: Callable[[], datetime]) -> None:
        self._connection, self._clock = connection, clock
        self._settings = connection.settings
        self._ensured: dict[tuple[str, TableSpec], datetime] = {}
        self._locks: dict[str, Lock] = {}
        self._locks_lock = Lock()

    def ensure(self, tenant: str, spec: TableSpec) -> tuple[str, ...]:
        """What was changed, in words. RejectedError names every refused column with both types. Threads that want
        the same table wait for the first, and find it done."""
        with self._lock_of(tenant, spec.name):
            known = self._ensured.get((tenant, spec))
            if known and self._clock() < known + timedelta(seconds=self._settings.schema_cache_seconds):
                return ()
            said = self._create_or_alter(tenant, spec)
            self._ensured[tenant, spec] = self._clock()
        return tuple(f"{spec.name}: {change}" for change in said)

    def schema(self, tenant: str, table: TableName) -> TableSchema | None:
        found = self._find(tenant, table)
        return table_schema(found.schema) if found else None

    def create_staging(self, tenant: str, spec: TableSpec, staging: TableName) -> TableSchema:
        """Not partitioned and without REQUIRED columns: the audit has to see everything, and reads it whole."""
        from google.cloud.bigquery import Table

        schema = relaxed(spec.schema)
        table = Table(self._connection.id(tenant, staging), schema=rest_fields(schema))
        table.expires = self._clock() + timedelta(hours=self._settings.staging_hours)
        table.labels = labels(tenant, [*spec.labels, ("staging", "true")])
        try:
            self._create_table(table, tenant, staging)
        except ConflictError:
            self.drop(tenant, staging)
            self._create_table(table, tenant, staging)
        return schema

    def drop(self, tenant: str, table: TableName) -> None:
        for key in [key for key in list(self._ensured) if key[0] == tenant and key[1].name == table]:
            self._ensured.pop(key, None)
        name = self._connection.id(tenant, table)
        self._connection.call(
            f"drop {table}", lambda c, **how: c.delete_table(name, not_found_ok=True, **how)
        )

    def forget(self, tenant: str) -> None:
        """Look at the tenant's tables again when they are asked for."""
        for key in [key for key in list(self._ensured) if key[0] == tenant]:
            self._ensured.pop(key, None)

    def ensure_dataset(self, tenant: str, dataset: str) -> None:
        from google.cloud.bigquery import Dataset

        made = Dataset(self._connection.dataset_id(tenant, dataset))
        made.location = self._settings.location
        if physical_dataset(tenant, dataset) != dataset:
            made.labels = labels(tenant, ())
        self._connection.call(
            f"create dataset {dataset}", lambda c, **how: c.create_dataset(made, exists_ok=True, **how)
        )

    # --- inside ---

    def _lock_of(self, tenant: str, table: TableName) -> Lock:
        with self._locks_lock:
            return self._locks.setdefault(self._connection.id(tenant, table), Lock())

    def _create_or_alter(self, tenant: str, spec: TableSpec) -> tuple[str, ...]:
        for _ in range(_LOOKS):
            found = self._find(tenant, spec.name)
            try:
                return self._alter(found, tenant, spec) if found else self._create(tenant, spec)
            except ConflictError:
                continue  # somebody else created or altered it meanwhile: look again
        raise ConflictError(f"{spec.name} is altered by somebody else all the time")

    def _find(self, tenant: str, table: TableName) -> Table | None:
        name = self._connection.id(tenant, table)
        try:
            found: Table = self._connection.call(
                f"look at {table}", lambda c, **how: c.get_table(name, **how)
            )
        except NotFoundError:
            return None
        return found

    def _create(self, tenant: str, spec: TableSpec) -> tuple[str, ...]:
        name = self._connection.id(tenant, spec.name)
        table = new_table(name, tenant, spec, require_filter=self._settings.require_partition_filters)
        self._create_table(table, tenant, spec.name)
        return plan_changes(None, spec.schema).describe()

    def _create_table(self, table: Table, tenant: str, name: TableName) -> None:
        """The dataset is made when it turns out to be missing: asking first would cost a request each time."""

        def create() -> None:
            self._connection.call(f"create {name}", lambda c, **how: c.create_table(table, **how))

        try:
            create()
        except NotFoundError:
            self.ensure_dataset(tenant, name.dataset)
            create()

    def _alter(self, table: Table, tenant: str, spec: TableSpec) -> tuple[str, ...]:
        current = table_schema(table.schema)
        plan = plan_changes(current, spec.schema)
        plan.require_allowed(spec.name)
        options = dict(
            option_changes(table, tenant, spec, require_filter=self._settings.require_partition_filters)
        )
        if widened := tuple(str(c) for c in plan.changes if isinstance(c, WidenColumn)):
            for sql in widening_statements(self._connection.quoted(tenant, spec.name), current, plan):
                self._connection.dml(f"widen {spec.name}", tenant, BoundSql(sql), spec.labels)
            # The DDL changed fields and etag, so the rest starts from the table as it is now.
            return (*widened, *self._create_or_alter(tenant, spec))
        fields = patched_fields(table.schema, plan)
        if fields:
            table.schema = fields
        if properties := [*options, *(["schema"] if fields else [])]:
            self._connection.call(
                f"alter {spec.name}", lambda c, **how: c.update_table(table, properties, **how)
            )
        return (*plan.describe(), *options.values())
