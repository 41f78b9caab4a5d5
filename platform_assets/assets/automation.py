"""When pipelines run: one job and one schedule per pipeline that declares a cron, and what follows a dead run."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date
from typing import Any, TypeAlias

import dagster as dg

from platform_assets.assets.graph import Node
from platform_assets.assets.keys import complete_days, range_tags, table_key
from platform_assets.engine.costs.closing import open_window
from platform_assets.engine.pipelines import Pipeline
from platform_assets.engine.tenancy import TenantSpec, runs_pipeline

AssetJob: TypeAlias = Any  # what define_asset_job returns has no public name


def pipeline_jobs(pipelines: Mapping[str, Pipeline], nodes: Sequence[Node]) -> dict[str, AssetJob]:
    """Per scheduled pipeline: the tables it writes, and everything downstream of them."""
    return {
        name: dg.define_asset_job(
            name,
            selection=_written(name, nodes).downstream(),
            description=pipeline.spec.description,
            tags={"pipeline": name},
        )
        for name, pipeline in sorted(pipelines.items())
        if pipeline.spec.schedule
    }


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
    """One schedule per pipeline; started by default only where the deployment enables schedules."""
    return [
        _schedule(pipelines[name], job, [t for _, t in sorted(tenants.items())], start, enabled)
        for name, job in sorted(jobs.items())
    ]


def _schedule(
    pipeline: Pipeline,
    job: AssetJob,
    tenants: Sequence[TenantSpec],
    start: date,
    enabled: bool,
) -> dg.ScheduleDefinition:
    schedule = pipeline.spec.schedule
    assert schedule is not None, "only pipelines with a schedule have a job"
    running = enabled and schedule.enabled

    @dg.schedule(
        name=f"{pipeline.spec.pipeline_id}_schedule",
        job=job,
        cron_schedule=schedule.cron,
        execution_timezone=schedule.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description=f"Every tenant's last {pipeline.spec.lookback_days + 1} complete day(s), one run per tenant"
        f"{', without months that the source has closed' if pipeline.spec.closes_after_days is not None else ''}.",
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        tick = context.scheduled_execution_time.astimezone(UTC)
        first, last = open_window(
            *complete_days(tick.date(), pipeline.spec.lookback_days), pipeline.spec.closes_after_days
        )
        if last < start:
            yield dg.SkipReason(f"{last} is before the first partition {start}")
            return
        for tenant in tenants:
            if runs_pipeline(tenant, pipeline):
                yield dg.RunRequest(
                    run_key=f"{pipeline.spec.pipeline_id}:{tick.isoformat()}:{tenant.tenant}",
                    tags=range_tags(max(first, start), last, tenant.tenant),
                )

    return evaluate
