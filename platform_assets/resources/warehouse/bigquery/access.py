"""Declared access as BigQuery enforces it: row access policies, views, and datasets allowed to look into another.

Owns the plan (statements in an order that never shuts the pipeline out) and its application. Touches only policies
whose names begin with ``platform_``; those of others stay.
Sources: docs.cloud.google.com/bigquery/docs/row-level-security-intro, …/authorized-views, …/authorized-datasets.
"""
# ruff: noqa: S608 - values are literals of checked types, names are quoted

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from platform_assets.engine.errors import QuotaError
from platform_assets.engine.names import TableName, physical, physical_dataset
from platform_assets.engine.schema.access import SharedView, TableAccess, Value, Where, require_possible
from platform_assets.engine.schema.model import TableSpec
from platform_assets.engine.sql.model import BoundSql
from platform_assets.resources.warehouse.bigquery.connection import Connection
from platform_assets.resources.warehouse.bigquery.statements import quoted, quoted_all

PREFIX = "platform_"
SEES_ALL = f"{PREFIX}sees_all"
MAX_POLICIES = 400  # per table; source: cloud.google.com/bigquery/quotas


@dataclass(frozen=True)
class AccessPlan:
    """``statements`` in order. ``readers``: logical datasets that may look into the table's dataset from then on."""

    statements: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()


def plan_access(
    project: str, tenant: str, spec: TableSpec, access: TableAccess, policies: Collection[str]
) -> AccessPlan:
    """``policies`` are the names of those the table has. RejectedError for what the table cannot do."""
    require_possible(spec, access)
    if len(access.rows) >= MAX_POLICIES:
        raise QuotaError(
            f"{spec.name}: {len(access.rows)} row rules; BigQuery allows {MAX_POLICIES} policies"
        )
    table = _path(project, tenant, spec.name)
    rows = _row_statements(
        table, access, {name for name in policies if name.startswith(PREFIX)}, set(policies)
    )
    views = [_view_statement(project, tenant, spec, view, table) for view in access.views]
    return AccessPlan((*rows, *views), tuple(sorted({view.dataset for view in access.views})))


def _path(project: str, tenant: str, table: TableName) -> str:
    """Quoted as one path, because a project may hold hyphens; it comes from the deployment, not from a tenant."""
    own = physical(tenant, table)
    return f"`{project}.{quoted(own.dataset)[1:-1]}.{quoted(own.table)[1:-1]}`"


def _row_statements(table: str, access: TableAccess, ours: set[str], all_names: set[str]) -> list[str]:
    """Those who see all come first and go last: at no moment may the pipeline be shut out."""
    if not access.rows:
        if ours and ours == all_names:
            return [f"DROP ALL ROW ACCESS POLICIES ON {table}"]
        return [_drop(table, name) for name in [*sorted(ours - {SEES_ALL}), *sorted(ours & {SEES_ALL})]]
    wanted = {f"{PREFIX}{rule.name}": rule for rule in access.rows}
    return [
        _policy(table, SEES_ALL, access.sees_all, "TRUE"),
        *(
            _policy(table, name, rule.grantees, _condition(rule.where))
            for name, rule in sorted(wanted.items())
        ),
        *(_drop(table, name) for name in sorted(ours - set(wanted) - {SEES_ALL})),
    ]


def _policy(table: str, name: str, grantees: Sequence[str], condition: str) -> str:
    listed = ", ".join(text(grantee) for grantee in grantees)
    return (
        f"CREATE OR REPLACE ROW ACCESS POLICY {name} ON {table} "
        f"GRANT TO ({listed}) FILTER USING ({condition})"
    )


def _drop(table: str, name: str) -> str:
    return f"DROP ROW ACCESS POLICY IF EXISTS {name} ON {table}"


def _view_statement(project: str, tenant: str, spec: TableSpec, view: SharedView, table: str) -> str:
    columns = view.columns or [column.name for column in spec.schema.fields if not column.pii]
    where = f" WHERE {_condition(view.where)}" if view.where else ""
    options = f" OPTIONS(description={text(view.description)})" if view.description else ""
    target = _path(project, tenant, TableName(view.dataset, view.view))
    return f"CREATE OR REPLACE VIEW {target}{options} AS SELECT {quoted_all(columns)} FROM {table}{where}"


def _condition(where: Where) -> str:
    return " AND ".join(
        f"{quoted(name)} IN ({', '.join(literal(value) for value in values)})"
        for name, values in where.items()
    )


def literal(value: Value) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return str(value) if isinstance(value, int) else text(value)


def text(value: str) -> str:
    """A string literal; every character outside printable ASCII is written as its code point."""
    plain = "".join(c if " " <= c <= "~" and c not in "\\'\"`" else f"\\U{ord(c):08x}" for c in value)
    return f"'{plain}'"


# --- Applying ---------------------------------------------------------------------------------------------------


def apply_access(
    connection: Connection, tenant: str, spec: TableSpec, access: TableAccess
) -> tuple[str, ...]:
    """Bring the table's policies and views to what is declared. Returns the statements that ran."""
    plan = plan_access(
        connection.settings.project, tenant, spec, access, _policies(connection, tenant, spec.name)
    )
    for statement in plan.statements:
        connection.dml(f"access to {spec.name}", tenant, BoundSql(statement), spec.labels)
    if plan.readers:
        _authorize(connection, tenant, spec.name.dataset, plan.readers)
    return plan.statements


def _policies(connection: Connection, tenant: str, table: TableName) -> list[str]:
    own = physical(tenant, table)
    path = (
        f"/projects/{connection.settings.project}/datasets/{own.dataset}/tables/{own.table}/rowAccessPolicies"
    )

    def ask(client: Any, timeout: float, **_: Any) -> Any:
        # The client has no method for this resource.
        return client._connection.api_request(method="GET", path=path, timeout=timeout)

    found = connection.call(f"policies of {table}", ask).get("rowAccessPolicies", [])
    return [str(policy["rowAccessPolicyReference"]["policyId"]) for policy in found]


def _authorize(connection: Connection, tenant: str, dataset: str, readers: Sequence[str]) -> None:
    """One entry per dataset of views, not per view: a dataset's list of access takes 2,500."""
    from google.cloud.bigquery import AccessEntry

    source = connection.dataset_id(tenant, dataset)
    what = f"views on {dataset}"
    found = connection.call(what, lambda c, **how: c.get_dataset(source, **how))
    entries = list(found.access_entries)
    for reader in readers:
        reference = {"projectId": connection.settings.project, "datasetId": physical_dataset(tenant, reader)}
        entry = AccessEntry(entity_type="dataset", entity_id={"dataset": reference, "targetTypes": ["VIEWS"]})
        if entry not in entries:
            entries.append(entry)
    if len(entries) > len(list(found.access_entries)):
        found.access_entries = entries
        connection.call(what, lambda c, **how: c.update_dataset(found, ["access_entries"], **how))
