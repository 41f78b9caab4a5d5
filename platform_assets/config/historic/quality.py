"""Rules of data quality in the old forms, as a suite of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from platform_assets.config.document import Document, Location
from platform_assets.config.historic.model import Keys, Old

# A suite judges one day's slice, so a rule about "yesterday's rows" is a rule about all of them.
_TODAY = re.compile(r"\s*\w+\s*=\s*CURRENT_DATE\(\)\s*(?:-\s*\d+)?\s*")
_DROPPED = {
    "sample_size": "all rows of a slice are judged, not a sample",
    "dq_id": "a suite is named by its table",
}


def suite(old: Old, document: Document, table: str, *, stops: bool) -> dict[str, Any]:
    """The suite of one table. ``stops`` False: a failed rule warns and stops nothing, as the step said."""
    rules = Old(old.root, document, old.shape, remarks=old.remarks, refused=old.refused)
    keys = rules.keys(document.value, ())
    keys.drop(_DROPPED)
    description, told = keys.text("description"), keys.text("target_table", table)
    if told != table:
        rules.refuse(("target_table",), f"is {told}, but the step checks {table}")
    entries = [_rule(item, stops=stops) for item in keys.mappings("expectations")]
    keys.end()
    if not entries:
        rules.refuse(("expectations",), "is missing or empty")
    head = {"table": table} | ({"description": description} if description else {})
    return {**head, "expectations": entries}


def _rule(item: Keys, *, stops: bool) -> dict[str, Any]:
    """One rule, flat: arguments that are null were never meant."""
    given = {**item.value, **(item.value.get("kwargs") or {})}
    given.pop("kwargs", None)
    kind = given.pop("expectation_type", given.pop("type", None))
    severity = given.pop("severity", "critical")
    if severity == "critical" and not stops:
        item.old.remark((*item.at, "severity"), "is warning here: the step went on where it failed")
        severity = "warning"
    return {"type": kind, **_without_clock(item.old, item.at, given), "severity": severity}


def _without_clock(old: Old, at: Location, given: Mapping[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in given.items() if value is not None}
    if _TODAY.fullmatch(str(rest.get("filter", ""))):
        old.remark((*at, "filter"), "is left out: a suite judges the rows of one day only")
        del rest["filter"]
    return rest
