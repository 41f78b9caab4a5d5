"""BigQuery's REST rows (``jobs.query``, ``tabledata.list``): cells by position become fields by name.

``{"schema": {"fields": […]}, "rows": [{"f": [{"v": "1.5"}, …]}]}`` becomes ``{"rows": [{"cost": "1.5"}, …]}``. Values
are texts as BigQuery sends them, TIMESTAMP excepted: epoch seconds with a fraction, or microseconds where the request
asked for ``useInt64Timestamp``, become a number of seconds. Records are objects, repeated fields lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from platform_assets.engine.errors import DataError

_MICROS = 1_000_000
_TIMESTAMPS = frozenset({"TIMESTAMP"})
_RECORDS = frozenset({"RECORD", "STRUCT"})


def page(root: Any) -> Any:
    if not isinstance(root, dict) or "schema" not in root:
        raise DataError("not BigQuery's rows: the page has no schema")
    fields = root["schema"]["fields"]
    return {**root, "rows": [_record(fields, row) for row in root.get("rows") or []]}


def _record(fields: Sequence[Mapping[str, Any]], row: Any) -> dict[str, Any]:
    cells = row.get("f") if isinstance(row, dict) else None
    if not isinstance(cells, list) or len(cells) != len(fields):
        raise DataError(f"a row has {len(cells or [])} cells, the schema {len(fields)} fields")
    return {field["name"]: _value(field, cell["v"]) for field, cell in zip(fields, cells, strict=True)}


def _value(field: Mapping[str, Any], value: Any) -> Any:
    if field.get("mode") == "REPEATED":
        one = {**field, "mode": "NULLABLE"}
        return [_value(one, item["v"]) for item in value or []]
    if value is None:
        return None
    if field["type"] in _RECORDS:
        return _record(field["fields"], value)
    return _seconds(value) if field["type"] in _TIMESTAMPS else value


def _seconds(text: str) -> Decimal:
    """``"1777593600000000"`` (microseconds) or ``"1.7775936E9"`` (seconds) → seconds."""
    number = Decimal(text)
    return number / _MICROS if text.lstrip("-").isdigit() else number
