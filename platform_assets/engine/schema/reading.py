"""Reads BigQuery's JSON table schema into a ``TableSchema``, and adds the platform's standard columns.

Owns the meaning of a ``*_schema.json`` file: type aliases, modes, nesting, names, the ``pii`` mark.
Refuses what would otherwise be dropped in silence: unknown keys, types without a form in every warehouse,
``maxLength`` and its like, names that BigQuery reserves. All problems are reported at once.

Source: BigQuery REST reference, ``TableFieldSchema``; "Schema naming" in the BigQuery documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.names import IDENTIFIER_PATTERN
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema

TYPE_ALIASES: Mapping[str, FieldType] = {
    "INTEGER": FieldType.INT64,
    "FLOAT": FieldType.FLOAT64,
    "BOOLEAN": FieldType.BOOL,
    "RECORD": FieldType.STRUCT,
    "DECIMAL": FieldType.NUMERIC,
    "BIGDECIMAL": FieldType.BIGNUMERIC,
}
_TYPES: Mapping[str, FieldType] = {**{t.value: t for t in FieldType}, **TYPE_ALIASES}
_MODES: Mapping[str, Mode] = {m.value: m for m in Mode}
_KEYS = ("name", "type", "mode", "description", "fields", "pii", "policy", "policyTags")
_RESERVED_PREFIXES = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier")
_MAX_DEPTH = 15
_MAX_COLUMNS = 10_000


@dataclass(frozen=True, order=True)
class SchemaProblem:
    """One thing wrong in a schema: ``path`` like ``fields[2].fields[0].type``, why, the nearest name."""

    path: str
    reason: str
    nearest: str | None = None


@dataclass
class _Reader:
    """Collects problems while walking; a column that cannot be read is left out, so the walk goes on."""

    problems: list[SchemaProblem] = field(default_factory=list)
    columns: int = 0

    def say(self, path: str, reason: str, nearest: str | None = None) -> None:
        self.problems.append(SchemaProblem(path, reason, nearest))

    def columns_of(self, raw: object, path: str, depth: int) -> tuple[Field, ...]:
        if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
            self.say(path, "must be a list of columns")
            return ()
        if not raw:
            self.say(path, "must hold at least one column")
        if depth > _MAX_DEPTH:
            self.say(path, f"nested deeper than {_MAX_DEPTH} levels, which BigQuery refuses")
            return ()
        read = [self.column(item, f"{path}[{i}]", depth) for i, item in enumerate(raw)]
        self.unique([(f"{path}[{i}].name", c) for i, c in enumerate(read) if c is not None])
        return tuple(c for c in read if c is not None)

    def unique(self, columns: list[tuple[str, Field]]) -> None:
        seen: dict[str, str] = {}
        for path, column in columns:
            first = seen.setdefault(column.name.lower(), column.name)
            if first is not column.name:
                self.say(path, f"column {column.name!r} is declared twice (names ignore case)")

    def column(self, raw: object, path: str, depth: int) -> Field | None:
        if not isinstance(raw, Mapping):
            self.say(path, "must be an object with name and type")
            return None
        self.columns += 1
        self.keys(raw, path)
        name, kind = self.name(raw, path), self.type(raw, path)
        mode, description = self.mode(raw, path), self.description(raw, path)
        pii, nested = self.pii(raw, path), self.nested(raw, kind, path, depth)
        if name is None or kind is None:
            return None
        return Field(name, kind, mode, description, nested, pii)

    def keys(self, raw: Mapping[Any, Any], path: str) -> None:
        for key in raw:
            if key not in _KEYS:
                nearest = _nearest(key, _KEYS)
                self.say(f"{path}.{key}", f"{key!r} is not supported here", nearest)

    def name(self, raw: Mapping[Any, Any], path: str) -> str | None:
        name = raw.get("name")
        if not isinstance(name, str) or not IDENTIFIER_PATTERN.fullmatch(name):
            self.say(
                f"{path}.name",
                f"{name!r} is not a column name: letters, digits, _, up to 300, no digit first",
            )
            return None
        if name.lower().startswith(_RESERVED_PREFIXES):
            self.say(f"{path}.name", f"{name!r} starts with a prefix that BigQuery keeps for itself")
        return name

    def type(self, raw: Mapping[Any, Any], path: str) -> FieldType | None:
        text = raw.get("type")
        found = _TYPES.get(text.upper()) if isinstance(text, str) else None
        if found is None:
            self.say(f"{path}.type", f"{text!r} is not a column type", _nearest(text, _TYPES))
        return found

    def mode(self, raw: Mapping[Any, Any], path: str) -> Mode:
        text = raw.get("mode", "NULLABLE")
        found = _MODES.get(text.upper()) if isinstance(text, str) else None
        if found is None:
            self.say(f"{path}.mode", f"{text!r} is not a mode", _nearest(text, _MODES))
        return found or Mode.NULLABLE

    def description(self, raw: Mapping[Any, Any], path: str) -> str:
        text = raw.get("description", "")
        if not isinstance(text, str) or len(text) > 1024:
            self.say(f"{path}.description", "must be text of at most 1,024 characters")
            return ""
        return text

    def pii(self, raw: Mapping[Any, Any], path: str) -> bool:
        mark = raw.get("pii", False)
        if not isinstance(mark, bool):
            self.say(f"{path}.pii", "must be true or false")
        if raw.get("policy", "pii") != "pii":
            self.say(f"{path}.policy", f"{raw['policy']!r} is not a policy", "pii")
        # A column under any policy tag is access-controlled: its values must not show up in samples.
        return mark is True or raw.get("policy") == "pii" or bool(raw.get("policyTags"))

    def nested(
        self, raw: Mapping[Any, Any], kind: FieldType | None, path: str, depth: int
    ) -> tuple[Field, ...]:
        if kind is FieldType.STRUCT:
            return self.columns_of(raw.get("fields", ()), f"{path}.fields", depth + 1)
        if raw.get("fields") and kind is not None:
            self.say(f"{path}.fields", f"only STRUCT has fields, and this is {kind}")
        return ()


def _nearest(text: object, known: Sequence[str] | Mapping[str, object]) -> str | None:
    if not isinstance(text, str):
        return None
    spelled = {name.lower(): name for name in known}
    close = get_close_matches(text.lower(), list(spelled), n=1, cutoff=0.5)
    return spelled[close[0]] if close else None


def inspect_schema(raw: object) -> tuple[TableSchema, tuple[SchemaProblem, ...]]:
    """Read as much as can be read; the schema is to be used only when there is no problem."""
    reader = _Reader()
    schema = TableSchema(reader.columns_of(raw, "fields", 1))
    if reader.columns > _MAX_COLUMNS:
        reader.say("fields", f"{reader.columns} columns; BigQuery allows {_MAX_COLUMNS}")
    return schema, tuple(reader.problems)


def read_schema(raw: object, *, file: str = "schema", lines: Mapping[str, int] | None = None) -> TableSchema:
    """``raw`` is the parsed JSON: a list of ``{"name", "type", "mode"?, "description"?, "fields"?, "pii"?}``.

    Raises one ConfigError with a Problem for everything found; ``lines`` maps paths to lines of ``file``.
    """
    schema, problems = inspect_schema(raw)
    if problems:
        at = lines or {}
        found = tuple(Problem(file, at.get(p.path, 1), p.path, p.reason, p.nearest) for p in problems)
        raise ConfigError(f"{file} is not a table schema", found)
    return schema


_RUN_COLUMNS = {
    "ingestion_date": Field("ingestion_date", FieldType.DATE, Mode.REQUIRED, "Data date of the slice."),
    "ingestion_timestamp": Field(
        "ingestion_timestamp", FieldType.TIMESTAMP, Mode.REQUIRED, "When the run wrote the row."
    ),
    "pipeline_logging_id": Field(
        "pipeline_logging_id", FieldType.STRING, Mode.REQUIRED, "The run that wrote the row."
    ),
    "x_tenant": Field("x_tenant", FieldType.STRING, Mode.REQUIRED, "Tenant that owns the row."),
    "x_pipeline": Field("x_pipeline", FieldType.STRING, Mode.REQUIRED, "Pipeline that produced the row."),
    "x_credential": Field("x_credential", FieldType.STRING, Mode.REQUIRED, "Credential used, by name."),
    "x_run_date": Field(
        "x_run_date", FieldType.DATE, Mode.REQUIRED, "Data date of the slice; first of month for months."
    ),
}
STANDARD_COLUMNS: Mapping[str, tuple[Field, ...]] = {
    "ingest": tuple(_RUN_COLUMNS.values()),
    "transform": tuple(
        _RUN_COLUMNS[n]
        for n in ("x_tenant", "x_pipeline", "x_run_date", "pipeline_logging_id", "ingestion_timestamp")
    ),
}


def with_standard_columns(
    schema: TableSchema, kind: Literal["ingest", "transform"], *, file: str = "schema"
) -> TableSchema:
    """The schema plus the standard columns that it does not declare itself. A declared one keeps its mode and
    place, but must have the standard type: ConfigError otherwise."""
    wrong = [
        Problem(file, 1, column.name, f"standard column must be {column.type}, not {own.type} {own.mode}")
        for column in STANDARD_COLUMNS[kind]
        if (own := schema.get(column.name)) and (own.type is not column.type or own.mode is Mode.REPEATED)
    ]
    if wrong:
        raise ConfigError(f"{file} declares standard columns with other types", tuple(wrong))
    missing = tuple(c for c in STANDARD_COLUMNS[kind] if schema.get(c.name) is None)
    return TableSchema(schema.fields + missing)
