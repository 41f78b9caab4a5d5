"""What schedules left out is asked for later: days whose tick was missed, and slices that failed for a passing reason.

Both sensors ask through the pipelines' own jobs, a bounded number of runs a tick, and each run once: its key names what
it is for. What was asked for already takes no place from the rest. Whether a run may start is the queue's to say.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any

import dagster as dg
from dagster._utils.schedules import reverse_cron_string_iterator  # the ticks as the scheduler sees them

from platform_assets.assets.automation import AssetJob, run_tags
from platform_assets.assets.keys import complete_days
from platform_assets.engine.errors import PlatformError
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.pipelines import Pipeline
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.model import BoundSql
from platform_assets.engine.tenancy import TenantSpec, runs_pipeline
from platform_assets.engine.timing import Timing, delay, gaps, timings
from platform_assets.ports import Warehouse
from platform_assets.resources.adapter import AdapterResource

LOGGER = logging.getLogger(__name__)
RUN_KEY_TAG = "dagster/run_key"
RETRY_TAG = "platform/retry"  # tenant → first and last day of what failed for a passing reason, as JSON
RETRYABLE_TAG = "platform/retryable"
ATTEMPT_TAG = "platform/attempt"
RETRY_OF_TAG = "platform/retry_of"
MOST_REQUESTS = 20
GRACE = timedelta(hours=1)  # a tick is missed when its runs have not begun so long after it
_TRIED = """
SELECT DISTINCT pipeline_id, run_date FROM `{dataset}`.`{table}`
WHERE ingestion_date >= DATE '{since}' AND run_date >= DATE '{since}' AND status <> 'BLOCKED'
  AND pipeline_id IN UNNEST(@pipelines)
"""


def second_chances(
    pipelines: Mapping[str, Pipeline],
    jobs: Mapping[str, AssetJob],
    tenants: Mapping[str, TenantSpec],
    runs: TableName,
    start: date,
    enabled: bool,
) -> list[dg.SensorDefinition]:
    """The two sensors. ``runs``: ``metadata.pipeline_runs``."""
    if not jobs:
        return []
    status = dg.DefaultSensorStatus.RUNNING if enabled else dg.DefaultSensorStatus.STOPPED
    scheduled = {name: pipelines[name] for name in sorted(jobs)}

    @dg.sensor(
        name="catch_up",
        jobs=list(jobs.values()),
        minimum_interval_seconds=600,
        default_status=status,
        description="Asks for the days that a missed tick left out, where a schedule has catch_up_days.",
    )
    def catch_up(context: dg.SensorEvaluationContext, warehouse: AdapterResource) -> list[dg.RunRequest]:
        now = datetime.now(UTC)
        return unasked(context.instance, missed(warehouse.adapter(), scheduled, tenants, runs, start, now))

    @dg.sensor(
        name="retry_failed_slices",
        jobs=list(jobs.values()),
        minimum_interval_seconds=60,
        default_status=status,
        description="Asks again for scheduled slices that failed for a passing reason, after their backoff.",
    )
    def retry(context: dg.SensorEvaluationContext) -> list[dg.RunRequest]:
        return unasked(context.instance, to_retry(context.instance, scheduled, datetime.now(UTC)))

    return [catch_up, retry]


def unasked(instance: dg.DagsterInstance, requests: Iterable[dg.RunRequest]) -> list[dg.RunRequest]:
    """The first ``MOST_REQUESTS`` of which there is no run yet. Dagster would leave the others out as well, but only
    after they had taken the places of those that come behind them."""
    found: list[dg.RunRequest] = []
    waiting = iter(requests)
    while len(found) < MOST_REQUESTS and (some := list(islice(waiting, 10 * MOST_REQUESTS))):
        filters = dg.RunsFilter(tags={RUN_KEY_TAG: [str(request.run_key) for request in some]})
        there = {run.tags[RUN_KEY_TAG] for run in instance.get_runs(filters)}
        found += [request for request in some if request.run_key not in there]
    return found[:MOST_REQUESTS]


# --- Missed ticks -------------------------------------------------------------------------------------


def missed(
    warehouse: Warehouse,
    pipelines: Mapping[str, Pipeline],
    tenants: Mapping[str, TenantSpec],
    runs: TableName,
    start: date,
    now: datetime,
) -> Iterator[dg.RunRequest]:
    """One request per tenant, pipeline and stretch of days that should have run by ``now`` and have no known run.
    A run that the queue refused counts as none. A tenant whose history cannot be read waits; the others do not."""
    wanted = {n: p for n, p in pipelines.items() if p.spec.schedule and p.spec.schedule.catch_up_days}
    for name, tenant in sorted(tenants.items()):
        mine = {n: p for n, p in wanted.items() if runs_pipeline(tenant, p)}
        if not mine:
            continue
        since = max(start, now.date() - timedelta(days=max(_reach(p) for p in mine.values())))
        try:
            tried = _tried(warehouse, name, runs, since, sorted(mine))
        except PlatformError as error:
            LOGGER.error("%s: what it has missed is not known: %s", name, error)
            continue
        for pipeline_id, pipeline in sorted(mine.items()):
            [timing] = [t for t in timings(pipeline.spec, [tenant]) if t.tenants]
            last = _last_due(timing, now)
            if not timing.enabled or last is None:
                continue
            first = max(start, now.date() - timedelta(days=_reach(pipeline)))
            for begin, end in gaps(first, last, tried.get(pipeline_id, set())):
                yield dg.RunRequest(
                    # Today's date in it: what was asked for and never began is asked for again tomorrow.
                    run_key=f"catch_up:{pipeline_id}:{name}:{begin}:{end}:{now.date()}",
                    job_name=pipeline_id,
                    tags=run_tags(pipeline.spec, timing.priority, begin, end, name),
                )


def _reach(pipeline: Pipeline) -> int:
    return pipeline.spec.schedule.catch_up_days if pipeline.spec.schedule else 0


def _last_due(timing: Timing, now: datetime) -> date | None:
    """The last day that a tick should have asked for by now."""
    ticks = reverse_cron_string_iterator((now - GRACE).timestamp(), timing.cron, timing.timezone)
    tick = next(iter(ticks), None)
    return complete_days(tick.astimezone(UTC).date(), 0)[1] if tick else None


def _tried(
    warehouse: Warehouse, tenant: str, runs: TableName, since: date, pipelines: Sequence[str]
) -> dict[str, set[date]]:
    """Pipeline → days of which there is a run, however it went."""
    if warehouse.describe(tenant, runs) is None:
        return {}
    table = physical(tenant, runs)
    sql = _TRIED.format(dataset=table.dataset, table=table.table, since=since.isoformat())
    found: dict[str, set[date]] = {}
    query = BoundSql(sql, {"pipelines": (FieldType.STRING, tuple(pipelines))})
    for row in warehouse.query(tenant, query).to_pylist():
        found.setdefault(row["pipeline_id"], set()).add(row["run_date"])
    return found


# --- Retries ------------------------------------------------------------------------------------------


def retry_tags(failed: Mapping[str, Sequence[date]]) -> dict[str, str]:
    """Tags for a run of which some slices failed for a passing reason: tenant → their days."""
    spans = {
        tenant: [min(days).isoformat(), max(days).isoformat()] for tenant, days in sorted(failed.items())
    }
    return {RETRY_TAG: json.dumps(spans), RETRYABLE_TAG: "true"} if spans else {}


def to_retry(
    instance: dg.DagsterInstance, pipelines: Mapping[str, Pipeline], now: datetime
) -> Iterator[dg.RunRequest]:
    """Requests for the failed runs of pipelines' jobs whose backoff is over and whose attempts are not. Only of the
    time in which a backoff can end, so that an old failure is not brought back."""
    longest = max((p.spec.retry.max_backoff_seconds for p in pipelines.values()), default=0)
    filters = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.FAILURE],
        tags={RETRYABLE_TAG: "true"},
        updated_after=now - timedelta(seconds=longest) - GRACE,
    )
    for record in instance.get_run_records(filters, ascending=True):
        run, ended = record.dagster_run, record.end_time
        pipeline = pipelines.get(run.job_name)
        if pipeline is None or ended is None:
            continue
        attempt, policy = int(run.tags.get(ATTEMPT_TAG, "1")), pipeline.spec.retry
        due = ended + delay(policy, attempt, run.run_id).total_seconds()
        if attempt < policy.max_attempts and now.timestamp() >= due:
            yield from _again(run, pipeline, attempt)


def _again(run: dg.DagsterRun, pipeline: Pipeline, attempt: int) -> Iterator[dg.RunRequest]:
    spans: dict[str, Any] = json.loads(run.tags[RETRY_TAG])
    priority = int(run.tags.get("dagster/priority", "0"))
    for tenant, (first, last) in spans.items():
        tags = run_tags(pipeline.spec, priority, date.fromisoformat(first), date.fromisoformat(last), tenant)
        yield dg.RunRequest(
            run_key=f"retry:{run.run_id}:{tenant}",
            job_name=run.job_name,
            tags={**tags, ATTEMPT_TAG: str(attempt + 1), RETRY_OF_TAG: run.run_id},
        )
