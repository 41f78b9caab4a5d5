"""The code location: configuration in, Definitions out. The only place where adapters meet assets."""

import gc
from datetime import UTC, datetime

import dagster as dg

from platform_assets.assets.automation import pipeline_jobs, pipeline_schedules
from platform_assets.assets.cdc import build_cdc
from platform_assets.assets.dead_runs import dead_run_sensors
from platform_assets.assets.events import build_events
from platform_assets.assets.graph import build_nodes
from platform_assets.assets.inbox.definitions import build_inbox
from platform_assets.assets.keys import tenant_day_partitions
from platform_assets.assets.metrics import build_metrics
from platform_assets.assets.notifications.alerts import GoldAlerts, by_table
from platform_assets.assets.notifications.definitions import Told, build_notifications
from platform_assets.assets.procedures import build_procedures, tables_changed
from platform_assets.assets.second_chances import second_chances
from platform_assets.assets.tables import build_tables
from platform_assets.config import load
from platform_assets.resources.adapter import adapter_resources
from platform_assets.resources.bindings import require_packages
from platform_assets.settings import read_settings

settings = read_settings()
today = datetime.now(UTC).date()
configuration = load(
    settings.config_root,
    deployment=settings.deployment,
    environment=settings.environment,
    today=today,
    cache=settings.platform_home / "cache",
)
deployment = configuration.deployment
require_packages(deployment)
start = deployment.partitions.first_day(today)
tenants = {n: t for n, t in configuration.tenants.items() if settings.cell in (None, t.cell)}
partitions = tenant_day_partitions(start, tuple(sorted(tenants)))
nodes = build_nodes(configuration.pipelines)
jobs = pipeline_jobs(configuration.pipelines, nodes)
metrics = build_metrics(configuration.metrics, deployment)
cdc = build_cdc(configuration.monitors, tenants, start, deployment)
events = build_events(configuration.events, deployment, tuple(sorted(tenants)), start)
running = deployment.schedules_enabled
told = Told(
    notifications=configuration.notifications,
    tables=configuration.metadata_tables,
    tenants=sorted(tenants),
    kinds=sorted(deployment.ports.notifiers),
    alerts=configuration.alerts,
    schedules_enabled=running,
)

# One expression: Dagster takes a module with several Definitions in it for a mistake.
defs = dg.Definitions.merge(
    build_notifications(told),
    build_procedures(configuration),
    build_inbox(
        [*metrics.sources, *cdc.sources, *events.sources],
        deployment.inbox,
        sensors_enabled=running,
        schedules_enabled=running,
        suspended=frozenset(name for name, tenant in tenants.items() if tenant.status != "active"),
    ),
    dg.Definitions(
        assets=[
            build_tables(
                nodes=nodes,
                providers=configuration.providers,
                tenants=tenants,
                metadata_tables=configuration.metadata_tables,
                partitions=partitions,
                slices_in_flight=deployment.limits.slices_in_flight,
                config_version=configuration.version,
                alerts=GoldAlerts(by_table(configuration.alerts.values()), configuration.notifications),
                changed_by=tables_changed(configuration),
            ),
            *metrics.assets,
            *cdc.assets,
            *events.assets,
        ],
        asset_checks=events.checks,
        jobs=list(jobs.values()),
        schedules=[
            *pipeline_schedules(configuration.pipelines, jobs, tenants, start, running),
            *events.schedules,
        ],
        sensors=[
            *dead_run_sensors(configuration.metadata_tables, nodes, tenants, configuration.version),
            *second_chances(
                configuration.pipelines,
                jobs,
                tenants,
                configuration.metadata_tables["pipeline_runs"].name,
                start,
                running,
            ),
            *metrics.sensors,
        ],
        resources=adapter_resources(deployment),
        # One process per run: the default multiprocess executor costs seconds per step.
        executor=dg.in_process_executor,
    ),
)

# All of this lives as long as the process: the collector need not look through it again and again, nor at exit
# (0.3 s of CPU in each of Dagster's processes).
gc.freeze()
