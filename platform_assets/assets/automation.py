"""When pipelines run: one job per pipeline that declares a cron, and a schedule for it, and one more for every tenant
that has a time of its own."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import dagster as dg

from platform_assets.assets.graph import Node
from platform_assets.assets.keys import complete_days, range_tags, table_key
from platform_assets.engine.costs.closing import open_window
from platform_assets.engine.cron import minute_of, spread
from platform_assets.engine.ingestion.spec import PipelineSpec
from platform_assets.engine.pipelines import Pipeline
from platform_assets.engine.tenancy import TenantSpec, runs_pipeline
from platform_assets.engine.timing import Timing, offset, timings

AssetJob: TypeAlias = Any  # what define_asset_job returns has no public name


def pipeline_jobs(pipelines: Mapping[str, Pipeline], nodes: Sequence[Node]) -> dict[str, AssetJob]:
    """Per scheduled pipeline: the tables it writes, and everything downstream of them."""
    return {
        name: dg.define_asset_job(
            name,
            selection=_written(name, nodes).downstream(),
            description=pipeline.spec.description,
            tags={"pipeline": name, **_time_limit(pipeline.spec)},
        )
        for name, pipeline in sorted(pipelines.items())
        if pipeline.spec.schedule
    }


def _time_limit(spec: PipelineSpec) -> dict[str, str]:
    """For Dagster's run monitoring, which ends the run."""
    return {"dagster/max_runtime": str(spec.timeout_minutes * 60)} if spec.timeout_minutes else {}


def _written(pipeline_id: str, nodes: Sequence[Node]) -> dg.AssetSelection:
    keys = [table_key(n.table) for n in nodes if pipeline_id in {w.pipeline_id for w in n.writers}]
    return dg.AssetSelection.assets(*keys)


def pipeline_schedules(
    pipelines: Mapping[str, Pipeline],
    jobs: Mapping[str, AssetJob],
    tenants: Mapping[str, TenantSpec],
    start: date,
    enabled: bool,
) -> list[dg.ScheduleDefinition]:
    """``<pipeline>_schedule``, and ``<pipeline>_<tenant>_schedule`` where a tenant has its own; started by default only
    where the deployment enables schedules."""
    ordered = [spec for _, spec in sorted(tenants.items())]
    return [
        _schedule(pipelines[name], timing, job, start, enabled)
        for name, job in sorted(jobs.items())
        for timing in timings(pipelines[name].spec, ordered)
    ]


def run_tags(spec: PipelineSpec, priority: int, first: date, last: date, tenant: str) -> dict[str, str]:
    """Tags of a scheduled run. A run whose process dies is tried again by Dagster, at once; slices that fail are asked
    for again by the retry sensor."""
    crashes = {"dagster/max_retries": str(spec.retry.max_attempts - 1)}
    return {**range_tags(first, last, tenant), **crashes, "dagster/priority": str(priority)}


def _schedule(
    pipeline: Pipeline, timing: Timing, job: AssetJob, start: date, enabled: bool
) -> dg.ScheduleDefinition:
    spec, running = pipeline.spec, enabled and timing.enabled
    schedule = spec.schedule
    assert schedule is not None, "only pipelines with a schedule have a job"
    whose = f"_{timing.tenants[0].tenant}" if timing.own else ""
    who = timing.tenants[0].tenant if timing.own else "Every tenant"

    @dg.schedule(
        name=f"{spec.pipeline_id}{whose}_schedule",
        job=job,
        cron_schedule=spread(timing.cron, schedule.jitter_minutes),
        execution_timezone=timing.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description=f"{who}: the last {spec.lookback_days + 1} complete day(s), one run per tenant"
        f"{', without months that the source has closed' if spec.closes_after_days is not None else ''}.",
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        tick = context.scheduled_execution_time.astimezone(UTC)
        first, last = open_window(*complete_days(tick.date(), spec.lookback_days), spec.closes_after_days)
        if last < start:
            yield dg.SkipReason(f"{last} is before the first partition {start}")
            return
        minute = context.scheduled_execution_time.astimezone(ZoneInfo(timing.timezone)).minute
        for tenant in timing.tenants:
            if runs_pipeline(tenant, pipeline) and _due(spec, timing, tenant.tenant, minute):
                yield dg.RunRequest(
                    run_key=f"{spec.pipeline_id}:{tick.isoformat()}:{tenant.tenant}",
                    tags=run_tags(spec, timing.priority, max(first, start), last, tenant.tenant),
                )

    return evaluate


def _due(spec: PipelineSpec, timing: Timing, tenant: str, minute: int) -> bool:
    """Whether this is the tenant's minute of a spread tick."""
    jitter = spec.schedule.jitter_minutes if spec.schedule else 0
    if not jitter:
        return True
    return minute == (minute_of(timing.cron) or 0) + offset(spec.pipeline_id, tenant, jitter)
