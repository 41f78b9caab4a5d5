"""``metadata.notification_history``: written once per fact, marked when a fact is acknowledged or escalated."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from platform_assets.assets.history import merge_rows
from platform_assets.engine.notifications.record import Fact, history_row
from platform_assets.engine.schema.model import FieldType, TableSpec
from platform_assets.ports import Warehouse

TABLE = "notification_history"
_ONE = f"SELECT * FROM metadata.{TABLE} WHERE notification_id = @id"  # noqa: S608
_NEWEST = f"SELECT * FROM metadata.{TABLE} ORDER BY created_at DESC, notification_id LIMIT @most"  # noqa: S608


@dataclass(frozen=True)
class NotificationLog:
    """Rows merge by ``notification_id``: writing a fact again changes nothing."""

    warehouse: Warehouse
    table: TableSpec

    def write(self, tenant: str, facts: Sequence[Fact]) -> None:
        rows = [history_row(fact) for fact in facts]
        merge_rows(self.warehouse, tenant, self.table, rows, uuid.uuid4().hex)
        for fact in facts:
            escalates = fact.jobs[0].escalates
            if escalates and fact.status == "sent":
                self.mark(tenant, escalates, {"escalated": True, "escalated_at": fact.at})

    def acknowledge(self, tenant: str, notification_id: str, by: str, now: datetime) -> bool:
        """False where there is no such notification."""
        return self.mark(tenant, notification_id, {"acknowledged_by": by, "acknowledged_at": now})

    def mark(self, tenant: str, notification_id: str, changes: Mapping[str, Any]) -> bool:
        for row in self._rows(tenant, _ONE, {"id": (FieldType.STRING, notification_id)}):
            merge_rows(self.warehouse, tenant, self.table, [row | dict(changes)], uuid.uuid4().hex)
            return True
        return False

    def newest(self, tenant: str, most: int) -> list[dict[str, Any]]:
        """The last deliveries and suppressions, newest first."""
        return self._rows(tenant, _NEWEST, {"most": (FieldType.INT64, most)})

    def _rows(self, tenant: str, sql: str, parameters: Any) -> list[dict[str, Any]]:
        from platform_assets.engine.sql.binding import bind_query

        if self.warehouse.describe(tenant, self.table.name) is None:
            return []
        query = bind_query(sql, tenant, parameters, name=TABLE)
        found: list[dict[str, Any]] = self.warehouse.query(tenant, query).to_pylist()
        return found
