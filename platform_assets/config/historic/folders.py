"""Service E as it ran (G1): ``<tenant>/<cloud>/<domain>/<pipeline>/<pipeline>.yml``, its files beside it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from platform_assets.config.document import Location
from platform_assets.config.historic import order, quality, queries
from platform_assets.config.historic.model import Keys, Old
from platform_assets.config.historic.words import DATES
from platform_assets.config.historic.writing import Folder, identifier, read_columns, schedule

_BYTES_BILLED = 10 * 2**30
_BY_ITSELF = {
    "timeout_minutes": "is not kept; the longest time of runs is the Dagster instance's to say",
    "version": "the configuration's version is its commit",
}
_WRITES_OTHERWISE = {
    "recreate": "a table's schema is changed by plan, never by dropping the table",
}


def translate(old: Old) -> None:
    folder_path = (old.root / old.document.file).parent
    tenant, cloud, domain, name = _place(old)
    top = old.keys(old.document.value, ())
    top.drop(_BY_ITSELF)
    constants = _constants(top)
    top.text("pipeline_id")
    folder = Folder.of(
        old,
        base=tenant,
        provider=identifier(cloud),
        domain=identifier(domain),
        name=identifier(name),
        head={"description": top.text("description")}
        | schedule(old, top.value.get("schedule"), ("schedule",)),
    )
    top.taken.add("schedule")
    work = _Work(folder, folder_path, tenant, constants)
    if top.has("steps"):
        for step in order.sorted_steps(old, list(top.mappings("steps"))):
            work.step(step)
    else:
        work.only_step(top)
    top.end()
    folder.finish()


def _place(old: Old) -> tuple[str, str, str, str]:
    parts = Path(old.document.file).parts
    if len(parts) < 5:
        old.refuse((), "must stand in <tenant>/<cloud>/<domain>/<pipeline>/")
        parts = ("tenant", "platform", "ingestion", Path(old.document.file).stem, "")
    tenant, cloud, domain, name = parts[-5:-1]
    return tenant, cloud, domain, name


def _constants(top: Keys) -> dict[str, Any]:
    """Parameters with their defaults; a date's is the slice's own day. A mapping, or the documented list."""
    top.taken.add("parameters")
    given = top.value.get("parameters") or {}
    if isinstance(given, list):
        return dict(_declared(keys) for keys in top.mappings("parameters"))
    return {name: _constant(value) for name, value in top.mapping("parameters").value.items()}


def _declared(keys: Keys) -> tuple[str, Any]:
    name, kind = keys.need("name"), keys.text("type").upper()
    keys.text("description")
    required = keys.take("required", bool, False)
    keys.taken.add("default")
    default = keys.value.get("default")
    keys.end()
    if required and default is None and kind != "DATE" and name not in DATES:
        keys.old.refuse(
            (*keys.at, "default"), f"{name} is required, and a run here has no arguments but its slice"
        )
    return name, _constant(default)


def _constant(value: Any) -> Any:
    return value if not isinstance(value, str) or not _is_date(value) else date.fromisoformat(value)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


class _Work:
    """The steps of one old pipeline, in order."""

    def __init__(self, folder: Folder, beside: Path, tenant: str, constants: Mapping[str, Any]) -> None:
        self.folder, self.beside, self.tenant = folder, beside, tenant
        self.old = folder.old
        self.constants = constants
        self.last_table = ""

    def step(self, step: Keys) -> None:
        kind = step.need("type")
        step.drop(_BY_ITSELF)
        if kind == "bigquery_to_bigquery":
            self._copy(step, identifier(step.need("step_id")))
        elif kind == "data_quality":
            self._rules(step)
        else:
            self.old.refuse((*step.at, "type"), f"must be bigquery_to_bigquery or data_quality, not {kind!r}")
        step.end()

    def only_step(self, top: Keys) -> None:
        """The short form: one source and one destination at the top."""
        self._copy(top, identifier(self.folder.path.rpartition("/")[2]))

    # --- bigquery_to_bigquery ---

    def _copy(self, step: Keys, step_id: str) -> None:
        source = step.mapping("source")
        source.text("type")
        names = {key: source.text(key) for key in ("project_id", "dataset", "table")}
        text = source.text("query") or "SELECT *\nFROM `{project_id}.{dataset}.{table}`"
        source.end()
        elsewhere = self._own(f"{names['dataset']}.{names['table']}") is None
        partition = step.mapping("partition")
        sql = self._query(text, names, (*source.at, "query"), partition, elsewhere=elsewhere)
        destination = self._destination(step.mapping("destination"))
        self._go_on(step)
        if step.has("dq_config"):
            self._suite(step, destination["table"], stops=True)
        if sql is not None:
            self._add(step_id, sql, names, destination, elsewhere=elsewhere)

    def _own(self, name: str) -> str | None:
        """The logical name of a table that a step before fills; ``<tenant>_<type>.<table>`` of old."""
        dataset, table = name.split(".")[-2:]
        kind = dataset.removeprefix(f"{self.tenant}_").removeprefix(f"{queries.OWN_DATASET}_")
        logical = f"{_layered(kind)}.{table}"
        return logical if logical in self.folder.tables else None

    def _query(
        self, text: str, names: Mapping[str, str], at: Location, partition: Keys, *, elsewhere: bool
    ) -> str | None:
        full = _full(names)
        origin = {full, full.partition(".")[2]} if elsewhere else set()

        def table(name: str) -> str | None:
            return "source.origin" if name in origin else self._own(name)

        translated = queries.query(text, names, self.constants, table)
        for problem in translated.problems:
            self.old.refuse(at, problem)
        column, kind = partition.text("field"), partition.text("type", "DATE").upper()
        partition.drop({"parallel_batch_size": "a slice is one day; slices run side by side"})
        partition.end()
        if translated.sql is None or queries.is_dated(translated.sql):
            return translated.sql
        if column:
            return queries.with_day(translated.sql, column, kind)
        if not elsewhere:
            return self.folder.own_day(translated.sql, at)
        if names["table"].startswith("gcp_billing_export"):
            self.old.remark(
                at, "held to the day Google exported; the shipped gcp_billing reads credits as well"
            )
            return queries.with_day(translated.sql, "_PARTITIONTIME", "TIMESTAMP")
        self.old.remark(at, "asks for no date: every run reads the whole source again")
        return translated.sql

    def _destination(self, keys: Keys) -> dict[str, Any]:
        table = f"{_layered(keys.need('dataset_type'))}.{keys.need('table')}"
        if keys.text("write_mode", "overwrite") == "append":
            self.old.remark((*keys.at, "write_mode"), "append doubled rows; a run replaces its day")
        keys.drop(_WRITES_OTHERWISE)
        partition = keys.text("partition_field", "ingestion_date")
        cluster = keys.texts("cluster_fields")
        if partition != "ingestion_date":
            reason = "tables are partitioned by the slice's day; this column clusters"
            self.old.remark((*keys.at, "partition_field"), reason)
            cluster.insert(0, partition)
        at: Location = (*keys.at, "schema_file")
        name = keys.need("schema_file")
        text = self.old.other_text(name, at, self.beside) if name else None
        file = f"{table.partition('.')[2]}_schema.json"
        self.folder.add_schema(file, read_columns(self.old, text, at) if text else [], table, at)
        keys.end()
        self.last_table = table
        found: dict[str, Any] = {"table": table, "schema_file": file, "write": "replace"}
        return found | ({"cluster_by": list(dict.fromkeys(cluster))[:4]} if cluster else {})

    def _add(
        self,
        step_id: str,
        sql: str,
        names: Mapping[str, str],
        destination: dict[str, Any],
        *,
        elsewhere: bool,
    ) -> None:
        file = self.folder.add_text(f"{step_id}.sql", sql)
        source: dict[str, Any] = {"type": "sql", "sql_file": file, "tables": {"origin": _full(names)}}
        source["maximum_bytes_billed"] = _BYTES_BILLED
        step: dict[str, Any] = {"step_id": step_id, "type": "ingest", "source": source}
        if not elsewhere:
            self.folder.computed.add(destination["table"])
            step = {"step_id": step_id, "type": "transform", "sql_file": file}
            destination = {**destination, "partition_field": "x_run_date"}
        self.folder.steps.append({**step, "destination": destination})

    # --- data_quality ---

    def _rules(self, step: Keys) -> None:
        step.text("step_id")
        source = step.mapping("source")
        given = source.text("table") or step.mapping("destination").text("table")
        source.taken.update(source.value)
        table = next((name for name in self.folder.tables if name.endswith(f".{given}")), self.last_table)
        if not table:
            self.old.refuse(step.at, "judges a table that no step before it fills")
        self._suite(step, table, stops=self._go_on(step))

    def _go_on(self, step: Keys) -> bool:
        """Whether a failure of the step stops what comes after it."""
        return step.take("fail_on_error", bool, True)

    def _suite(self, step: Keys, table: str, *, stops: bool) -> None:
        name = step.need("dq_config")
        document = self.old.other_document(name, (*step.at, "dq_config"), self.beside) if name else None
        if document is not None and table:
            self.folder.suites[table] = quality.suite(self.old, document, table, stops=stops)


def _full(names: Mapping[str, str]) -> str:
    """``project.dataset.table``, of the parts that are said."""
    return ".".join(part for part in names.values() if part)


def _layered(kind: str) -> str:
    """``gcp`` → ``raw_gcp``; what names a layer already stays."""
    return kind if kind.startswith(("raw_", "silver_", "gold_")) else f"raw_{identifier(kind)}"
