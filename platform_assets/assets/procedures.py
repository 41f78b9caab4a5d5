"""Procedures in Dagster: each an asset above the tables that it changes, and one job that runs them.

The assets are not executable: ``raw_openai/costs+`` must never run a procedure that deletes. Running one is a decision,
made in the job ``run_procedure`` with its parameters, or on the command line; what it did is told on its asset.
"""

from datetime import UTC, datetime

import dagster as dg

from platform_assets.engine.names import TableName
from platform_assets.engine.pipelines import Configuration
from platform_assets.engine.procedures import in_call_order, tables_of
from platform_assets.resources.adapter import AdapterResource

GROUP = "procedures"


class ProcedureRun(dg.Config):
    """``parameters``: texts, typed as the procedure declares (``p_before: "2026-01-31"``). ``dry_run`` changes nothing
    and tells what it would touch."""

    procedure: str
    tenant: str
    parameters: dict[str, str] = {}
    dry_run: bool = True


def procedure_key(domain: str, name: str) -> dg.AssetKey:
    return dg.AssetKey(["procedures", domain, name])


def build_procedures(configuration: Configuration) -> dg.Definitions:
    return dg.Definitions(
        assets=[_spec(name, configuration) for name in sorted(configuration.procedures)],
        jobs=[_job(configuration)] if configuration.procedures else [],
    )


def tables_changed(configuration: Configuration) -> dict[TableName, list[dg.AssetKey]]:
    """Table → the procedures that change it themselves, by name: the table stands below them in the lineage. Were a
    procedure below what it reads, selecting "everything below" a table would select procedures."""
    found: dict[TableName, list[dg.AssetKey]] = {}
    for procedure in configuration.procedures.values():
        for table in procedure.writes:
            found.setdefault(table, []).append(procedure_key(procedure.domain, procedure.name))
    return found


def _spec(name: str, configuration: Configuration) -> dg.AssetSpec:
    procedure = configuration.procedures[name]
    writes, reads = tables_of(name, configuration.procedures)
    callers = [p for p in configuration.procedures.values() if name in {call.name for call in p.calls}]
    return dg.AssetSpec(
        procedure_key(procedure.domain, name),
        deps=[procedure_key(one.domain, one.name) for one in callers],
        group_name=GROUP,
        kinds={"sql"},
        tags={"domain": procedure.domain},
        metadata={
            "sql": dg.MetadataValue.md(f"```sql\n{procedure.text}\n```"),
            "parameters": ", ".join(f"{one} {kind}" for one, kind in procedure.parameters.items()) or "none",
            "changes": ", ".join(map(str, writes)),
            "reads": ", ".join(map(str, reads)) or "nothing else",
        },
        code_version=procedure.content_hash[:12],
    )


def _job(configuration: Configuration) -> dg.JobDefinition:
    names = ", ".join(p.name for p in in_call_order(configuration.procedures))

    @dg.op(description=f"One procedure for one tenant, in one transaction: {names}.")
    def procedure(context: dg.OpExecutionContext, config: ProcedureRun, warehouse: AdapterResource) -> None:
        from platform_assets.assets.operations import Operations

        operations = Operations(configuration, warehouse.adapter(), config.tenant, datetime.now(UTC))
        found = operations.procedure(config.procedure)
        if config.dry_run:
            for preview in operations.preview(found.name, config.parameters):
                context.log.info(f"{preview.change}: {preview.rows} rows")
            return
        rows = operations.run(found.name, config.parameters)
        context.log_event(
            dg.AssetMaterialization(
                procedure_key(found.domain, found.name),
                metadata={
                    "tenant": config.tenant,
                    "rows_changed": sum(rows),
                    "parameters": dg.MetadataValue.json(dict(config.parameters)),
                },
            )
        )

    @dg.job(name="run_procedure", description="A procedure with its parameters; dry_run false changes rows.")
    def run_procedure() -> None:
        procedure()

    return run_procedure
