"""New files as people would have written them, and the names that old ones become."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from platform_assets.config.document import Location
from platform_assets.config.historic.model import Keys, Old
from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import TableSchema
from platform_assets.engine.schema.reading import STANDARD_COLUMNS, inspect_schema

_STANDARD = frozenset(column.name for column in STANDARD_COLUMNS["ingest"])


@dataclass
class Folder:
    """A new pipeline folder in the making: ``pipelines/openai/cost/p_openai_billing``."""

    old: Old
    path: str
    head: dict[str, Any]
    steps: list[dict[str, Any]] = field(default_factory=list)
    suites: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[str, TableSchema] = field(default_factory=dict)
    computed: set[str] = field(default_factory=set)  # tables of transforms

    @classmethod
    def of(
        cls, old: Old, *, base: str, provider: str, domain: str, name: str, head: Mapping[str, Any]
    ) -> Folder:
        identity = {"pipeline_id": name, "provider": provider, "domain": domain}
        return cls(old, f"{base}/{provider}/{domain}/{name}", {**identity, **head})

    def add_text(self, name: str, text: str) -> str:
        self.old.files[f"{self.path}/{name}"] = text
        return name

    def add_schema(self, name: str, columns: Sequence[Mapping[str, Any]], table: str, at: Location) -> str:
        """A schema file without the columns that the platform adds; refused where it cannot be read."""
        own = [
            c for c in columns if not (isinstance(c, Mapping) and str(c.get("name", "")).lower() in _STANDARD)
        ]
        if not own and self.old.refused:  # why there are none is told already
            return name
        schema, problems = inspect_schema(own)
        for problem in problems:
            self.old.refuse(at, f"{problem.path}: {problem.reason}", problem.nearest)
        for column in schema.fields:
            if column.type.value == "FLOAT64" and re.search(r"cost|amount|price|credit", column.name):
                self.old.remark(at, f"column {column.name} is FLOAT64; money is NUMERIC or BIGNUMERIC here")
        self.tables[table] = schema
        return self.add_text(name, _json_lines(own))

    def own_day(self, sql: str, at: Location) -> str:
        """A transform's query held to the run's own day, where it asks for no date itself."""
        from platform_assets.config.historic import queries

        if queries.is_dated(sql):
            return sql
        self.old.remark(at, "reads all days of its tables; held to the run's own day")
        computed = any(str(table) in self.computed for table in queries.tables_of(sql))
        return queries.with_day(sql, "x_run_date" if computed else "ingestion_date", "DATE")

    def schemas(self) -> dict[TableName, TableSchema]:
        """The tables filled so far, with the columns that every table has."""
        standard = STANDARD_COLUMNS["ingest"]
        return {
            TableName.parse(name): TableSchema(
                schema.fields + tuple(c for c in standard if schema.get(c.name) is None)
            )
            for name, schema in self.tables.items()
        }

    def add_transform(
        self, step_id: str, sql: str, table: str, columns: Sequence[Mapping[str, Any]], at: Location
    ) -> None:
        schema_file = self.add_schema(f"{table.partition('.')[2]}_schema.json", columns, table, at)
        self.computed.add(table)
        destination = {"table": table, "schema_file": schema_file, "partition_field": "x_run_date"}
        self.steps.append(
            {
                "step_id": step_id,
                "type": "transform",
                "sql_file": self.add_text(f"{step_id}.sql", sql),
                "destination": destination,
            }
        )

    def finish(self) -> None:
        """Write ``pipeline.yml`` and ``dq.yml``."""
        if not self.steps:
            self.old.refuse(("steps",), "no step is left that fills a table")
        self.add_text("pipeline.yml", yaml_text({**self.head, "steps": self.steps}, "pipeline", depth=4))
        if self.suites:
            self.add_text("dq.yml", yaml_text({"suites": list(self.suites.values())}, "dq", depth=4))


def yaml_text(value: Mapping[str, Any], kind: str, *, depth: int) -> str:
    """A new file's text; descriptions that nobody wrote are left out."""
    head = f"# yaml-language-server: $schema={'../' * depth}.schema/{kind}.json\n"
    return head + str(yaml.safe_dump(_said(value), sort_keys=False, allow_unicode=True, width=110))


def _said(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _said(item) for key, item in value.items() if item != ""}
    return [_said(item) for item in value] if isinstance(value, list) else value


def _json_lines(columns: Sequence[Mapping[str, Any]]) -> str:
    return "[\n" + ",\n".join(f"  {json.dumps(column, ensure_ascii=False)}" for column in columns) + "\n]\n"


def read_columns(old: Old, text: str, at: Location) -> list[Any]:
    """The columns of an old schema file."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        old.refuse(at, f"is not valid JSON: {error.msg} in line {error.lineno}")
        return []
    return found if isinstance(found, list) else []


def identifier(text: str) -> str:
    """A name in letters, digits and ``_``; the organization's part of it falls away."""
    name = re.sub(r"\W+", "_", re.sub(r"\{+\s*\w+\s*\}+", "", text)).strip("_").lower()
    return name if re.match(r"[a-z_]", name) else f"p_{name}"


def schedule(old: Old, value: Any, at: Location) -> dict[str, Any]:
    """``{schedule: …}`` for a cron text, ``{cron, timezone, enabled}`` or ``{type: daily|monthly, time, …}``."""
    if value is None:
        return {}
    if isinstance(value, str):
        return {"schedule": {"cron": value}}
    keys = old.keys(value, at)
    found: dict[str, Any] = {"cron": keys.text("cron") or _cron(keys)}
    if keys.has("timezone"):
        found["timezone"] = keys.text("timezone")
    if keys.has("enabled"):
        found["enabled"] = keys.take("enabled", bool, True)
    keys.end()
    return {"schedule": found}


def _cron(keys: Keys) -> str:
    kind, at_time = keys.text("type", "daily"), keys.text("time", "00:00")
    day = keys.take("day_of_month", int, 1)
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", at_time)
    if match is None or kind not in ("daily", "monthly"):
        keys.old.refuse(keys.at, "needs a cron text, or type daily or monthly with time HH:MM")
        return "0 0 * * *"
    hour, minute = int(match[1]), int(match[2])
    return f"{minute} {hour} {day if kind == 'monthly' else '*'} * *"


def derived_schema(folder: Folder, sql: str, file: str, at: Location) -> list[dict[str, str]]:
    """The columns of a transform whose old form named no schema, from the types of what it reads."""
    from platform_assets.config.historic.queries import result_schema

    try:
        columns, unknown = result_schema(sql, file, folder.schemas())
    except ConfigError as error:
        for reason in [p.reason for p in error.problems] or [str(error)]:
            folder.old.refuse(at, reason)
        return []
    if unknown:
        folder.old.refuse(at, f"no type follows for {', '.join(unknown)}; write a schema file for the table")
    else:
        folder.old.remark(at, "the table's schema was derived from the query; look it over")
    return columns
