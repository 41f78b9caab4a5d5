"""CDC monitors in Dagster: a queue's changes → inbox → one run per tenant-day that has unapplied ones → points.

An asset per monitor, all of one op, since they share what is asked of the warehouse. What waits is told by every
monitor, whichever of them a run selects: the inbox remembers messages, not monitors. A replay tells the selected ones.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import dagster as dg

from platform_assets.assets.cdc_run import CdcHandler, Report, Told
from platform_assets.assets.inbox.apply import Applied
from platform_assets.assets.inbox.run import apply_inbox, is_replay, metadata
from platform_assets.assets.inbox.sensor import QueueSource, inbox_of
from platform_assets.assets.inbox.tick import Router, stored
from platform_assets.assets.keys import SliceKey, open_tenant_day_partitions
from platform_assets.engine.cdc.monitor import Monitor
from platform_assets.engine.cdc.points import Point
from platform_assets.engine.cdc.record import read_record
from platform_assets.engine.cdc.settings import CdcSettings
from platform_assets.engine.cdc.tables import DataScope, scope_of, shown
from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.engine.errors import DataError, RetryableError
from platform_assets.engine.inbox.model import Quarantined, Route, Routed
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.ports import Message

SOURCE = "cdc"
UNASSIGNED = "_unassigned"  # changes that name no partner; no tenant is called so
ORIGIN = dg.AssetKey(["mageai", "pipeline_run"])
CHECK = "handlers_succeeded"
SHOWN = 100


class CdcDefinitions(NamedTuple):
    """What the code location takes up. ``sources`` get their sensors with those of the other queues."""

    assets: list[dg.AssetsDefinition]
    sources: list[QueueSource]


def build_cdc(
    monitors: Mapping[str, Monitor],
    tenants: Mapping[str, TenantSpec],
    start: date,
    deployment: DeploymentSpec,
) -> CdcDefinitions:
    """Nothing where no monitor is declared or the deployment has no queue ``cdc``."""
    if not monitors or SOURCE not in deployment.ports.queues:
        return CdcDefinitions([], [])
    partitions = open_tenant_day_partitions(start, (UNASSIGNED, *sorted(tenants)))
    partners = partners_of(tenants)
    source = QueueSource(
        SOURCE,
        f"queue_{SOURCE}",
        router(partners, deployment.cdc),
        dg.AssetSelection.assets(*(monitor_key(name) for name in monitors)),
        partitions,
        lambda partition: {"tenant": SliceKey.parse(partition).tenant},
    )
    scopes = {name: scope_of_tenant(tenant, deployment.cdc) for name, tenant in tenants.items()}
    asset = _asset(tuple(monitors.values()), scopes, partitions, deployment.cdc, deployment.inbox)
    return CdcDefinitions([asset], [source])


def monitor_key(name: str) -> dg.AssetKey:
    return dg.AssetKey(["cdc", name])


def partners_of(tenants: Mapping[str, TenantSpec]) -> dict[str, str]:
    """Every name by which messages call a tenant → the tenant."""
    own = {name: name for name in tenants}
    return {partner: name for name, tenant in tenants.items() for partner in tenant.cdc.partners} | own


def scope_of_tenant(tenant: TenantSpec, settings: CdcSettings) -> DataScope:
    partners = (tenant.tenant, *tenant.cdc.partners)
    return scope_of(settings.data_project, settings.datasets, partners, tuple(tenant.cdc.datasets))


def router(partners: Mapping[str, str], settings: CdcSettings) -> Router:
    """By the partner and the UTC day of ``source_timestamp``; ordered by ``sort_keys``, known by ``uuid``."""

    def route(message: Message) -> Route:
        try:
            record = read_record(
                message.body, message.attributes, id=message.id, published_at=message.published_at
            )
        except DataError as error:
            return Quarantined(stored(message), str(error))
        kept = stored(message, id=record.id, order=record.order)
        tenant = partners.get(record.partner, "" if record.partner else UNASSIGNED)
        if not tenant and settings.unknown_partner == "dead_letter":
            return Quarantined(
                kept, f"partner {shown(record.partner)} is no tenant; see cdc.partners of a tenant"
            )
        return Routed(str(SliceKey(record.at.date(), tenant or UNASSIGNED)), kept)

    return route


def _asset(
    monitors: Sequence[Monitor],
    scopes: Mapping[str, DataScope],
    partitions: dg.MultiPartitionsDefinition,
    settings: CdcSettings,
    inbox: InboxSpec,
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="cdc",
        specs=[_spec(monitor, partitions) for monitor in monitors],
        check_specs=[_check_spec(monitor, partitions) for monitor in monitors],
        required_resource_keys={"object_store", "metric_sink", "query_sources"},
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def cdc(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
        store = context.resources.object_store.adapter()
        selected = [m for m in monitors if monitor_key(m.name) in context.selected_asset_keys]
        reports: dict[str, Report] = {}

        def handler(partition: str) -> CdcHandler:
            reports[partition] = Report()
            tenant = SliceKey.parse(partition).tenant
            return CdcHandler(
                partition,
                tenant,
                selected if is_replay(context) else monitors,
                scopes.get(tenant),
                _opened(context.resources.query_sources),
                context.resources.metric_sink.adapter(),
                inbox_of(store, SOURCE),
                settings,
                lambda: datetime.now(UTC),
                reports[partition],
                is_replay(context),
            )

        applied: Mapping[str, Applied] = {}
        failed: RetryableError | None = None
        try:
            applied = apply_inbox(context, store, SOURCE, handler, inbox)
        except RetryableError as error:
            failed = error
        for partition, report in sorted(reports.items()):
            for name in [m.name for m in selected if m.name in report.monitors]:
                yield from _told(name, partition, report, applied.get(partition, Applied()))
        if failed:
            raise failed

    return cdc


def _opened(query_sources: Any) -> Callable[[], Any]:
    """The data project's tables, with the process's own rights; opened when a batch has something to ask."""
    found: list[Any] = []

    def source() -> Any:
        if not found:
            found.append(query_sources.adapter().open({}, None))
        return found[0]

    return source


# --- What people see -------------------------------------------------------------------------------------------------


def _spec(monitor: Monitor, partitions: dg.MultiPartitionsDefinition) -> dg.AssetSpec:
    spec = monitor.spec
    names = [metric.name for metric in (*spec.gauges, *spec.counters)]
    return dg.AssetSpec(
        monitor_key(monitor.name),
        deps=[ORIGIN],
        description=spec.description,
        group_name="cdc",
        partitions_def=partitions,
        skippable=True,  # a tenant-day without changes for the monitor tells nothing
        kinds={"sql"} if spec.queries else set(),
        tags={"domain": "cdc"},
        metadata={"metrics": names, "handlers": sorted(spec.handlers)},
    )


def _check_spec(monitor: Monitor, partitions: dg.MultiPartitionsDefinition) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            CHECK,
            asset=monitor_key(monitor.name),
            description="The monitor took every change that it was to take.",
            partitions_def=partitions,
        )


def _told(
    name: str, partition: str, report: Report, applied: Applied
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    told = report.monitors[name]
    yield dg.AssetMaterialization(
        monitor_key(name), partition=partition, metadata=_metadata(told, report, applied)
    )
    failures = sum(told.failures.values())
    yield dg.AssetCheckEvaluation(
        asset_key=monitor_key(name),
        check_name=CHECK,
        passed=not failures,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{failures} of {told.counts['changes']} changes failed",
        metadata={"failures": dg.MetadataValue.json(dict(told.failures.most_common(SHOWN)))},
        partition=partition,
    )


def _metadata(told: Told, report: Report, applied: Applied) -> dict[str, Any]:
    """The monitor's newest points, and what the batches of the tenant-day took as a whole."""
    return {
        "points": dg.MetadataValue.int(told.counts["points"]),
        "changes": dg.MetadataValue.int(told.counts["changes"]),
        "newest": dg.MetadataValue.md(_table(told.points[-SHOWN:])),
        **{f"batch/{name}": dg.MetadataValue.int(n) for name, n in sorted(report.counts.items())},
        **metadata(applied),
    }


def _table(points: Sequence[Point]) -> str:
    rows = (
        f"| {p.series.name} | {_cell(', '.join(f'{k}={v}' for k, v in p.series.labels))} | {p.value} "
        f"| {p.end.isoformat()} |"
        for p in points
    )
    return "| metric | labels | value | time |\n|---|---|---|---|\n" + "\n".join(rows)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())[:300]
