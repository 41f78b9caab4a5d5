"""Earlier values of checks, out of ``dq_results``: what anomaly expectations and history plots are made from.

One value per check and data date: a day that was run again counts once, with its newest result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.quality.plot import Point
from platform_assets.engine.schema.model import FieldType, Scalar
from platform_assets.engine.sql.model import BoundSql

DAYS = 60
_QUERY = """
SELECT expectation_id, run_date, success, SAFE_CAST(observed_value AS FLOAT64) AS value,
  IF(element_count > 0, unexpected_count / element_count * 100, NULL) AS percent
FROM results_
WHERE ingestion_date >= since_ AND run_date >= since_ AND run_date < before_ AND target_table = @target_table
  AND pipeline_id = @pipeline_id AND expectation_id IN UNNEST(@expectation_ids) AND success IS NOT NULL
QUALIFY ROW_NUMBER() OVER (PARTITION BY expectation_id, run_date ORDER BY executed_at DESC) = 1
ORDER BY expectation_id, run_date
"""


def needing_history(suite: Iterable[Expectation]) -> tuple[str, ...]:
    """The ids of the expectations that compare a slice with earlier ones."""
    return tuple(e.name for e in suite if e.type.endswith("_to_match_history"))


def past_query(
    results: TableName,
    *,
    target_table: str,
    pipeline_id: str,
    expectation_ids: Sequence[str],
    before: date,
    days: int = DAYS,
) -> BoundSql:
    """Results of the ``days`` before a data date, oldest first: ``expectation_id, run_date, success, value,
    percent``. ``results`` is the physical ``dq_results``; its dates are literals, so that partitions are pruned."""
    from sqlglot import exp, parse_one

    from platform_assets.engine.quality.tree import table_node

    dates = {"since_": before - timedelta(days=days), "before_": before}

    def filled(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Table) and node.name == "results_":
            return table_node(results)
        if isinstance(node, exp.Column) and node.name in dates:
            return exp.cast(exp.Literal.string(dates[node.name].isoformat()), "DATE")
        return node

    tree = parse_one(_QUERY, dialect="bigquery").transform(filled)
    parameters: dict[str, tuple[FieldType, Scalar | tuple[Scalar, ...]]] = {
        "target_table": (FieldType.STRING, target_table),
        "pipeline_id": (FieldType.STRING, pipeline_id),
        "expectation_ids": (FieldType.STRING, tuple(expectation_ids)),
    }
    return BoundSql(tree.sql("bigquery"), parameters)


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
