"""A run queue that knows tenants: whose a run is, what the tenant's plan allows, and what is going on already.

Dagster tags a single-partition run with ``dagster/partition/tenant``; a range run (backfill) gets no tenant tag at all.
Every queued run here carries ``tenant``: its only tenant, or ``several`` where a range spans more than one.

A run that may not start fails at once, with its code in the message and in the tag ``platform/refused``; it never takes
a slot. Limits on how many go on at once are not refusals: those runs wait in the queue.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from dagster import DagsterRun, DagsterRunStatus, Field, QueuedRunCoordinator, RunRecord, RunsFilter
from dagster._core.run_coordinator.base import SubmitRunContext  # SubmitRunContext has no public name

if TYPE_CHECKING:
    from platform_assets.engine.admission import Cover, KnownRun, Refusal
    from platform_assets.engine.tenancy import TenantSpec

TENANT_TAG = "tenant"
SEVERAL = "several"
REFUSED_TAG = "platform/refused"
_TENANTS_SECONDS = 30.0
_UNFINISHED = (
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)


class TenantQueuedRunCoordinator(QueuedRunCoordinator):
    """``QueuedRunCoordinator`` with admission. ``enforce_quotas: false`` leaves daily and monthly limits out."""

    def __init__(self, *, enforce_quotas: bool = True, **config: Any) -> None:
        self._enforce_quotas = enforce_quotas
        self._tenants: tuple[float, dict[str, TenantSpec]] | None = None
        super().__init__(**config)

    @classmethod
    def config_type(cls) -> Any:
        return {**super().config_type(), "enforce_quotas": Field(bool, is_required=False, default_value=True)}

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        run = context.dagster_run
        tenant = tenant_of(run.tags)
        if tenant and TENANT_TAG not in run.tags:
            self._instance.add_run_tags(run.run_id, {TENANT_TAG: tenant})
        if run.status is DagsterRunStatus.NOT_STARTED and (refusal := self._refusal(run)):
            return self._refuse(run, refusal)
        return super().submit_run(context)

    def get_run_queue_config(self) -> Any:
        """The configured limits, and of every tenant the number of runs at once that its plan allows."""
        config = super().get_run_queue_config()
        of_tenants = [
            {"key": TENANT_TAG, "value": name, "limit": spec.allowed.concurrent}
            for name, spec in sorted(self.tenants().items())
        ]
        return config._replace(tag_concurrency_limits=[*config.tag_concurrency_limits, *of_tenants])

    def tenants(self) -> "Mapping[str, TenantSpec]":
        """The tenants as their files say, read again now and then."""
        from platform_assets.config.tenants import read_tenants
        from platform_assets.engine.errors import ConfigError
        from platform_assets.settings import read_settings

        now = time.monotonic()
        if self._tenants is None or now - self._tenants[0] > _TENANTS_SECONDS:
            try:
                self._tenants = now, read_tenants(read_settings().config_root)
            except ConfigError as error:  # better a tenant over its limit than a queue that stands still
                self._logger.warning("no limits of tenants are known: %s", error)
                self._tenants = now, {}
        return self._tenants[1]

    def _refusal(self, run: DagsterRun) -> "Refusal | None":
        from platform_assets.engine.admission import decide

        records = self._instance.get_run_records(RunsFilter(run_ids=[run.run_id]))
        asked = known_run(records[0]) if records else None
        if asked is None:
            return None
        tenants = self.tenants()
        if not self._enforce_quotas:
            tenants = {name: _without_limits(spec) for name, spec in tenants.items()}
        return decide(asked, tenants, self._earlier(asked, tenants), datetime.now(UTC))

    def _earlier(self, asked: "KnownRun", tenants: "Mapping[str, TenantSpec]") -> "list[KnownRun]":
        """Runs created before this one (storage keeps the order) of every tenant concerned: unfinished ones, today's,
        and the month's where the tenant may be near its limit."""
        today = asked.created.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        month = today.replace(day=1)
        concerned = [spec for name, spec in tenants.items() if asked.cover.has(name)]
        near = any(self._count(spec.tenant, month) >= spec.allowed.monthly for spec in concerned)
        found: dict[str, KnownRun] = {}
        for name in (*(spec.tenant for spec in concerned), SEVERAL):
            tags = {TENANT_TAG: name}
            for filters in (
                RunsFilter(tags=tags, created_after=month if near else today),
                RunsFilter(tags=tags, statuses=_UNFINISHED),
            ):
                for record in self._instance.get_run_records(filters, cursor=asked.run_id):
                    if known := known_run(record):
                        found[known.run_id] = known
        return list(found.values())

    def _count(self, tenant: str, since: datetime) -> int:
        filters = (RunsFilter(tags={TENANT_TAG: name}, created_after=since) for name in (tenant, SEVERAL))
        return sum(self._instance.get_runs_count(each) for each in filters)

    def _refuse(self, run: DagsterRun, refusal: "Refusal") -> DagsterRun:
        """Failed from the start, and not for Dagster's own retries to take up."""
        tags = {REFUSED_TAG: refusal.code, "dagster/will_retry": "false"}
        self._instance.add_run_tags(run.run_id, tags)
        self._instance.report_run_failed(run, str(refusal))
        self._instance.add_run_tags(run.run_id, tags)
        refused = self._instance.get_run_by_id(run.run_id)
        assert refused is not None, "the run was just written"
        return refused


def known_run(record: RunRecord) -> "KnownRun | None":
    """A run of tenant × day slices; None for any other."""
    from platform_assets.engine.admission import KnownRun

    run = record.dagster_run
    cover = cover_of(run.tags)
    if cover is None:
        return None
    return KnownRun(
        run.run_id,
        _work(run),
        cover,
        record.create_timestamp.replace(tzinfo=record.create_timestamp.tzinfo or UTC),
        unfinished=run.status in _UNFINISHED,
        waiting=run.status is DagsterRunStatus.NOT_STARTED,
        refused=REFUSED_TAG in run.tags,
    )


def _work(run: DagsterRun) -> str:
    assets = sorted(key.to_user_string() for key in run.asset_selection or ())
    return f"{run.job_name}:{','.join(assets)}"


def _without_limits(spec: "TenantSpec") -> "TenantSpec":
    return spec.model_copy(update={"plan": "enterprise", "limits": type(spec.limits)()})


def tenant_of(tags: Mapping[str, str]) -> str | None:
    """The tenant that a run's partition tags name; ``several`` for more than one; None without partition."""
    if tenant := tags.get("dagster/partition/tenant"):
        return tenant
    tenants = {end.partition("|")[2] for end in _ends(tags) if "|" in end}
    if not tenants:
        return None
    return tenants.pop() if len(tenants) == 1 else SEVERAL


def cover_of(tags: Mapping[str, str]) -> "Cover | None":
    """The slices that a run's partition tags name; None where they name no tenant-days."""
    from platform_assets.engine.admission import Cover

    single = tags.get("dagster/partition", "")
    ends = [end.partition("|") for end in ([single, single] if single else _ends(tags))]
    try:
        first, last = (date.fromisoformat(day) for day, _, _ in ends)
    except ValueError:
        return None
    tenants: Sequence[str] = [tenant for _, _, tenant in ends]
    return Cover(first, last, tenants[0], tenants[1]) if all(tenants) else None


def _ends(tags: Mapping[str, str]) -> list[str]:
    return [tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end")]
