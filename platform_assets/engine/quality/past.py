"""Earlier values of checks, out of ``dq_results``: what anomaly expectations and history plots are made from.

One value per check and data date: a day that was run again counts once, with its newest result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.quality.model import CheckOutcome
from platform_assets.engine.quality.plot import Point
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.model import BoundSql

DAYS = 60
DAYS_OF_MONTHS = 400  # how far back a monthly table's results are looked for
_QUERY = """
SELECT target_table, pipeline_id, credential_id, expectation_id, run_date, success,
  SAFE_CAST(observed_value AS FLOAT64) AS value,
  IF(element_count > 0, unexpected_count / element_count * 100, NULL) AS percent
FROM results_
WHERE ingestion_date >= since_ AND run_date >= since_ AND run_date < before_
  AND target_table IN UNNEST(@target_tables) AND success IS NOT NULL
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY target_table, pipeline_id, credential_id, expectation_id, run_date ORDER BY executed_at DESC) = 1
ORDER BY target_table, pipeline_id, credential_id, expectation_id, run_date
"""


def needing_history(suite: Iterable[Expectation]) -> tuple[str, ...]:
    """The ids of the expectations that compare a slice with earlier ones."""
    return tuple(e.name for e in suite if e.type.endswith("_to_match_history"))


def past_query(results: TableName, *, target_tables: Sequence[str], since: date, before: date) -> BoundSql:
    """Results of the data dates from ``since`` until ``before``, oldest first: ``target_table, pipeline_id,
    credential_id, expectation_id, run_date, success, value, percent``. ``results`` is the physical ``dq_results``; its
    dates are literals, so that partitions are pruned."""
    from sqlglot import exp, parse_one

    from platform_assets.engine.quality.tree import table_node

    dates = {"since_": since, "before_": before}

    def filled(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Table) and node.name == "results_":
            return table_node(results)
        if isinstance(node, exp.Column) and node.name in dates:
            return exp.cast(exp.Literal.string(dates[node.name].isoformat()), "DATE")
        return node

    tree = parse_one(_QUERY, dialect="bigquery").transform(filled)
    tables = (FieldType.STRING, tuple(target_tables))
    return BoundSql(tree.sql("bigquery"), {"target_tables": tables})


def newest_of_months(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of rows ordered by data date, each check's last one of every month: a monthly table is audited on many days."""
    newest = {(row["expectation_id"], row["run_date"].replace(day=1)): row for row in rows}
    return list(newest.values())


def values_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[float, ...]]:
    """``Facts.history`` from ``past_query``'s rows."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["value"] is not None:
            found.setdefault(row["expectation_id"], []).append(float(row["value"]))
    return {check: tuple(values) for check, values in found.items()}


def points_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, tuple[Point, ...]]:
    """Each check's points for ``plot.history_image``: what it observed, else its unexpected percentage."""
    found: dict[str, list[Point]] = {}
    for row in rows:
        value = row["percent"] if row["value"] is None else row["value"]
        point = Point(row["run_date"], None if value is None else float(value), bool(row["success"]))
        found.setdefault(row["expectation_id"], []).append(point)
    return {check: tuple(points) for check, points in found.items()}


def point_of(outcome: CheckOutcome, day: date) -> Point:
    """A result as a point beside the earlier ones."""
    value = _number(outcome.observed_value)
    if value is None and outcome.element_count:
        value = (outcome.unexpected_count or 0) / outcome.element_count * 100
    return Point(day, value, outcome.success)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float | Decimal) and math.isfinite(value) else None
