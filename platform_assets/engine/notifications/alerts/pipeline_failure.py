"""Runs that failed one after another."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.rule import Answer, Found, Moment, Question
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.spec import Spec

PIPELINE_RUNS = TableName("metadata", "pipeline_runs")
_SQL = f"""
SELECT pipeline_id, pipeline_logging_id, status, start_time FROM {PIPELINE_RUNS}
WHERE start_time >= @since
ORDER BY start_time
"""  # noqa: S608
_BACK = timedelta(days=60)
_BAD = ("FAILED", "TIMEOUT", "BLOCKED")
_ENDED = ("COMPLETED", "CANCELLED", *_BAD)


class PipelineFailure(Spec):
    """The last ``consecutive_failures`` runs of a pipeline failed. Patterns as in a shell: ``openai_*``."""

    on_gold: ClassVar[bool] = False
    event: ClassVar[Event] = Event.PIPELINE_FAILURE

    type: Literal["pipeline_failure"]
    pipeline_patterns: Annotated[list[str], Field(min_length=1)] = ["*"]
    consecutive_failures: Annotated[int, Field(ge=1, le=100)] = 1

    def looks_at(self) -> TableName:
        return PIPELINE_RUNS

    def question(self, moment: Moment) -> Question:
        return Question(PIPELINE_RUNS, _SQL, {"since": (FieldType.TIMESTAMP, moment.now - _BACK)})

    def judge(self, answer: Answer, found: Found) -> None:
        """A run is the worst of its slices; the newest runs count, those that go on do not."""
        runs: dict[str, dict[str, tuple[datetime, bool]]] = defaultdict(dict)
        for row in answer.rows:
            if row["status"] in _ENDED and self._means(row["pipeline_id"]):
                of_pipeline = runs[row["pipeline_id"]]
                _, bad = of_pipeline.get(row["pipeline_logging_id"], (row["start_time"], False))
                of_pipeline[row["pipeline_logging_id"]] = (row["start_time"], bad or row["status"] in _BAD)
        for pipeline, of_pipeline in sorted(runs.items()):
            newest_first = sorted(of_pipeline.values(), reverse=True)
            failures = next((i for i, (_, bad) in enumerate(newest_first) if not bad), len(newest_first))
            if failures >= self.consecutive_failures:
                found.matches.append(f"{pipeline}: the last {failures} run(s) failed")

    def _means(self, pipeline: str) -> bool:
        return any(fnmatchcase(pipeline, pattern) for pattern in self.pipeline_patterns)
