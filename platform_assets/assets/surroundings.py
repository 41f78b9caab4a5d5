"""What the audit of a slice looks at beside its rows: the same slice of other tables, and each check's past."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

from platform_assets.assets.filling import Job
from platform_assets.assets.graph import Node, Part
from platform_assets.engine.errors import PlatformError
from platform_assets.engine.ingestion.spec import IngestStep
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.quality.past import (
    DAYS,
    DAYS_OF_MONTHS,
    needing_history,
    newest_of_months,
    past_query,
)
from platform_assets.engine.schema.model import Scalar, Slice, TableSpec
from platform_assets.ports import Warehouse

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Source

LOGGER = logging.getLogger(__name__)
Row: TypeAlias = Mapping[str, Any]
Writer: TypeAlias = tuple[str, str, str | None]  # table, pipeline, credential


class PastResults:
    """The results that checks had before this run, read once per tenant when a slice first asks for them."""

    def __init__(
        self, warehouse: Warehouse, results: TableSpec, nodes: Sequence[Node], days: Sequence[date]
    ) -> None:
        self._warehouse, self._results = warehouse, results
        self._tables = sorted(str(node.table) for node in nodes if node.suite)
        back = DAYS_OF_MONTHS if any(node.monthly for node in nodes) else DAYS
        self._since, self._before = min(days).replace(day=1) - timedelta(days=back), max(days)
        self._lock = Lock()
        self._found: dict[str, dict[Writer, list[Row]]] = {}

    def of(self, tenant: str, writer: Writer, day: date, *, monthly: bool) -> list[Row]:
        """One writer's results before ``day``, oldest first: of the last ``DAYS``, or one per earlier month."""
        rows = [row for row in self._of_tenant(tenant).get(writer, ()) if row["run_date"] < day]
        if monthly:
            return newest_of_months(rows)
        return [row for row in rows if row["run_date"] >= day - timedelta(days=DAYS)]

    def _of_tenant(self, tenant: str) -> dict[Writer, list[Row]]:
        with self._lock:
            if tenant not in self._found:
                self._found[tenant] = self._read(tenant)
            return self._found[tenant]

    def _read(self, tenant: str) -> dict[Writer, list[Row]]:
        there = self._warehouse.describe(tenant, self._results.name)
        if there is None or there.get("credential_id") is None:  # nobody wrote, or an older version did
            return {}
        results = physical(tenant, self._results.name)
        query = past_query(results, target_tables=self._tables, since=self._since, before=self._before)
        found: dict[Writer, list[Row]] = defaultdict(list)
        for row in self._warehouse.query(tenant, query).to_pylist():
            found[row["target_table"], row["pipeline_id"], row["credential_id"]].append(row)
        return found


@dataclass(frozen=True)
class Surroundings:
    """What the audits of one run may look at. Without ``past`` nothing is known of earlier results."""

    nodes: Mapping[TableName, Node]
    past: PastResults | None = None

    def others(self, job: Job) -> dict[str, "Source"]:
        """The other tables that the suite names, each with the slice that belongs to the audited one."""
        return {
            str(name): beside(job.tenant.tenant, job.node, self.nodes[name], job.day, job.part)
            for name in job.node.compared
            if name in self.nodes
        }

    def earlier(self, job: Job) -> list[Row]:
        """Earlier results of the same checks on the same writer's slices. Raises what the warehouse raises only where
        an expectation cannot be judged without them; a picture can be missed."""
        if self.past is None or not job.node.suite:
            return []
        credential = job.part.credential.id if job.part.credential else None
        writer = (str(job.node.table), job.part.step.pipeline_id, credential)
        try:
            return self.past.of(job.tenant.tenant, writer, job.day, monthly=job.node.monthly)
        except PlatformError as error:
            if needing_history(job.node.suite):
                raise
            LOGGER.warning("earlier results of %s are not shown: %s", job.node.table, error)
            return []


def slice_of_day(node: Node, day: date) -> Slice:
    """All rows of a table's slice, whoever wrote them. ``day`` names the slice."""
    partitioning = node.spec.partitioning
    assert partitioning is not None, "every table of a pipeline is partitioned"
    return Slice(((partitioning.column, day),))


def beside(tenant: str, node: Node, other: Node, day: date, part: Part | None = None) -> "Source":
    """The slice of another table that belongs to the audited one: the same day, all days of the same month, the month
    of the day; of one writer, the same credential where both come from the same provider."""
    from platform_assets.engine.quality.scope import Source

    table, schema = physical(tenant, other.table), other.spec.schema
    credential = _same_credential(part, other) if part else ()
    if node.monthly and not other.monthly:
        partitioning = other.spec.partitioning
        assert partitioning is not None, "every table of a pipeline is partitioned"
        last = (day + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        return Source(table, schema, Slice(credential), (partitioning.column, day, last))
    of_day = slice_of_day(other, other.slice_date(day))
    return Source(table, schema, Slice((*of_day.equals, *credential)))


def _same_credential(part: Part, other: Node) -> tuple[tuple[str, Scalar], ...]:
    both = isinstance(other.owner.spec, IngestStep) and other.owner.provider == part.step.provider
    return (("x_credential", part.credential.id),) if part.credential and both else ()
