"""All tenant × day tables as assets of one op, as dbt's integration does it.

One op because a slice, not a step, is what succeeds or fails: a tenant's bad day drops out of the tables downstream
for that tenant and day only, which Dagster cannot say between steps of a range run. Each table still is an asset of
its own with its own lineage, checks, partitions and metadata, and any subset can be selected.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache

import dagster as dg

from platform_assets.assets.filling import Doors
from platform_assets.assets.graph import Node
from platform_assets.assets.history import RunHistory
from platform_assets.assets.keys import SliceKey, table_key
from platform_assets.assets.lineage import column_lineage, table_metadata
from platform_assets.assets.materialization import check_evaluations, materialization
from platform_assets.assets.notifications.alerts import GoldAlerts
from platform_assets.assets.outcomes import SliceOutcome, Status
from platform_assets.assets.quality_report import QualityReports
from platform_assets.assets.run_facts import RunFacts, in_utc
from platform_assets.assets.second_chances import retry_tags
from platform_assets.assets.slice_runner import BAD, RunContext, SliceRunner, Statuses
from platform_assets.assets.surroundings import PastResults, Surroundings
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.engine.names import TableName
from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.quality.results import check_name
from platform_assets.engine.schema.model import TableSpec
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.resources.adapter import AdapterResource

OP_NAME = "tenant_day_tables"


def build_tables(
    *,
    nodes: Sequence[Node],
    providers: Mapping[str, ProviderSpec],
    tenants: Mapping[str, TenantSpec],
    metadata_tables: Mapping[str, TableSpec],
    partitions: dg.MultiPartitionsDefinition,
    slices_in_flight: int,
    config_version: str,
    alerts: GoldAlerts,
    changed_by: Mapping[TableName, Sequence[dg.AssetKey]],
) -> dg.AssetsDefinition:
    """The op that fills every declared table, slice by slice, in the order of their lineage. ``changed_by``: what else
    changes a table, for the lineage only."""
    schemas = {node.table: node.spec.schema for node in nodes}
    lineage = cache(lambda node: column_lineage(node, schemas))

    @dg.multi_asset(
        name=OP_NAME,
        specs=[_asset_spec(node, partitions, changed_by.get(node.table, ())) for node in nodes],
        check_specs=[
            *(_check_spec(node, check, partitions) for node in nodes for check in node.suite),
            *alerts.specs(nodes, partitions),
        ],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def tenant_day_tables(
        context: dg.AssetExecutionContext,
        warehouse: AdapterResource,
        secrets: AdapterResource,
        http: AdapterResource,
        query_sources: AdapterResource,
        source_stores: AdapterResource,
        object_store: AdapterResource,
    ) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
        doors = Doors(
            warehouse.adapter(),
            secrets.adapter(),
            http.adapter(),
            query_sources.adapter(),
            source_stores.adapter(),
        )
        run = RunContext(context.run.run_id, lambda: datetime.now(UTC), context.log.info, slices_in_flight)
        selected = [node for node in nodes if table_key(node.table) in context.selected_asset_keys]
        keys = [SliceKey.parse(key) for key in context.partition_keys]
        results = metadata_tables["dq_results"]
        past = PastResults(doors.warehouse, results, selected, [key.day for key in keys])
        around = Surroundings({node.table: node for node in nodes}, past)
        runner = SliceRunner(doors, run, tenants, providers, frozenset(n.table for n in selected), around)
        facts = _facts(context, selected, config_version)
        failures: list[SliceOutcome] = []
        statuses: Statuses = {}
        with (
            RunHistory(doors.warehouse, metadata_tables, run, facts) as history,
            QualityReports(object_store.adapter, run.run_id) as reports,
        ):
            history.begin(selected, keys, tenants)
            for node in selected:
                outcomes: list[SliceOutcome] = []
                for outcome in runner.run_node(node, keys, statuses):
                    outcomes.append(outcome)
                    statuses[outcome.table, outcome.key] = outcome.status
                    context.log.log("ERROR" if outcome.status in BAD else "INFO", str(outcome))
                    history.record(outcome, node.suite)
                    reports.add(outcome)
                    if outcome.status is Status.PUBLISHED:
                        report = reports.address(outcome.key.tenant)
                        yield materialization(node, outcome, run.run_id, lineage(node), report)
                yield from check_evaluations(node, outcomes)
                yield from alerts.look(node, outcomes, doors.warehouse, object_store.adapter, run.now())
                failures += [outcome for outcome in outcomes if outcome.status in BAD]
        if failures:
            context.instance.add_run_tags(run.run_id, retry_tags(_passing(failures)))
            # Retrying the step would run the good slices again: what failed is asked for anew, slice by slice.
            raise dg.Failure(_summary(failures, len(selected) * len(keys)), allow_retries=False)

    return tenant_day_tables


def _facts(context: dg.AssetExecutionContext, selected: Sequence[Node], config_version: str) -> RunFacts:
    record = context.instance.get_run_record_by_id(context.run.run_id)
    created = in_utc(record.create_timestamp) if record else datetime.now(UTC)
    tables = tuple(str(node.table) for node in selected)
    return RunFacts(context.run.run_id, context.run.tags, config_version, created, tables)


def _passing(failures: Sequence[SliceOutcome]) -> dict[str, list[date]]:
    """Tenant → the days of which a slice failed for a passing reason."""
    found: dict[str, list[date]] = {}
    for outcome in failures:
        if any(part.passing for part in outcome.parts):
            found.setdefault(outcome.key.tenant, []).append(outcome.key.day)
    return found


def _summary(failures: Sequence[SliceOutcome], asked: int) -> str:
    lines = "\n".join(f"- {failure}" for failure in failures[:50])
    more = f"\n… and {len(failures) - 50} more" if len(failures) > 50 else ""
    return f"{len(failures)} of {asked} slices were not published; all others are committed:\n{lines}{more}"


def _asset_spec(
    node: Node, partitions: dg.MultiPartitionsDefinition, changed_by: Sequence[dg.AssetKey]
) -> dg.AssetSpec:
    pipeline = node.pipelines[node.owner.pipeline_id].spec
    layer = node.table.dataset.partition("_")[0]
    step = node.owner.spec
    return dg.AssetSpec(
        table_key(node.table),
        deps=[*(table_key(table) for table in node.before), *changed_by],
        description=step.description or node.spec.description or pipeline.description,
        group_name=node.table.dataset,
        partitions_def=partitions,
        # A slice that was not published yields nothing; Dagster must not take that for a missing output.
        skippable=True,
        kinds={node.owner.provider if step.type == "ingest" else "sql", layer},
        owners=list(pipeline.owners),
        tags={"layer": layer, "domain": pipeline.domain, "pipeline": pipeline.pipeline_id},
        metadata=table_metadata(node),
        code_version=node.code_version,
    )


def _check_spec(
    node: Node, expectation: Expectation, partitions: dg.MultiPartitionsDefinition
) -> dg.AssetCheckSpec:
    # A partitioned check keeps one status per tenant and day; without it the last tenant would speak for all.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            check_name(expectation),
            asset=table_key(node.table),
            description=expectation.description or expectation.type,
            blocking=False,  # the audit itself blocks, slice by slice, before anything is published
            metadata={"severity": str(expectation.severity), "type": expectation.type},
            partitions_def=partitions,
        )
