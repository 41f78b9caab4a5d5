"""Tables that nobody has written for too long."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.rule import Answer, Found, Moment, Question
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.spec import Spec

STEP_LOGS = TableName("metadata", "step_logs")
_SQL = f"""
SELECT target_table, MAX(end_time) AS updated_at FROM {STEP_LOGS}
WHERE status = 'COMPLETED' AND target_table IN UNNEST(@tables)
GROUP BY target_table
ORDER BY target_table
"""  # noqa: S608


class DataFreshness(Spec):
    """A table was last written more than so many hours ago. One that the tenant never had is not judged."""

    on_gold: ClassVar[bool] = False
    event: ClassVar[Event] = Event.DATA_QUALITY_WARNING

    type: Literal["data_freshness"]
    tables: Annotated[list[str], Field(min_length=1)]
    max_hours_since_update: Annotated[int, Field(ge=1, le=8760)]

    def looks_at(self) -> TableName:
        return STEP_LOGS

    def question(self, moment: Moment) -> Question:
        return Question(STEP_LOGS, _SQL, {"tables": (FieldType.STRING, tuple(self.tables))})

    def judge(self, answer: Answer, found: Found) -> None:
        updated = {row["target_table"]: row["updated_at"] for row in answer.rows}
        for table in self.tables:
            last = updated.get(table)
            if last is None:
                found.unjudged.append(f"{table}: never written for this tenant")
            elif (age := answer.now - last) > timedelta(hours=self.max_hours_since_update):
                hours = age.total_seconds() / 3600
                found.matches.append(f"{table}: last written {last:%Y-%m-%d %H:%M} UTC, {hours:.1f} h ago")
