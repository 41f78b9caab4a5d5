"""A run queue that knows tenants, so that ``tag_concurrency_limits`` can hold one tenant back from another.

Dagster tags a single-partition run with ``dagster/partition/tenant``; a range run (backfill) gets no tenant tag at all.
Every queued run here carries ``tenant``: its only tenant, or ``several`` where a range spans more than one.
"""

from collections.abc import Mapping

from dagster import DagsterRun, QueuedRunCoordinator
from dagster._core.run_coordinator.base import SubmitRunContext  # SubmitRunContext has no public name

TENANT_TAG = "tenant"
SEVERAL = "several"


class TenantQueuedRunCoordinator(QueuedRunCoordinator):
    """``QueuedRunCoordinator``, with a ``tenant`` tag on every run of a tenant × day partition."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        run = context.dagster_run
        tenant = tenant_of(run.tags)
        if tenant and TENANT_TAG not in run.tags:
            self._instance.add_run_tags(run.run_id, {TENANT_TAG: tenant})
        return super().submit_run(context)


def tenant_of(tags: Mapping[str, str]) -> str | None:
    """The tenant that a run's partition tags name; ``several`` for more than one; None without partition."""
    if tenant := tags.get("dagster/partition/tenant"):
        return tenant
    ends = [tags.get(f"dagster/asset_partition_range_{end}", "") for end in ("start", "end")]
    tenants = {end.partition("|")[2] for end in ends if "|" in end}
    if not tenants:
        return None
    return tenants.pop() if len(tenants) == 1 else SEVERAL
