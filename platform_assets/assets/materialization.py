"""What people see of a slice in Dagster: one materialization per tenant and day, and one evaluation per check."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import dagster as dg

from platform_assets.assets.chart import bar_chart
from platform_assets.assets.graph import Node
from platform_assets.assets.keys import table_key
from platform_assets.assets.outcomes import PartOutcome, SliceOutcome
from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.quality.model import CheckOutcome
from platform_assets.engine.quality.plot import history_image
from platform_assets.engine.quality.results import check_name, observed_text

PREVIEW_COLUMNS = 12
SHOWN_POINTS = 30
EVALUATIONS_PER_TABLE = 100
CHANGES_SHOWN = 20
Found: TypeAlias = tuple[PartOutcome, CheckOutcome]


def materialization(
    node: Node, outcome: SliceOutcome, run_id: str, lineage: dg.TableColumnLineage | None, report: str
) -> dg.AssetMaterialization:
    """The event of a published slice. ``report``: where the run's page about data quality is."""
    return dg.AssetMaterialization(
        asset_key=table_key(node.table),
        partition=str(outcome.key),
        metadata={**_counts(outcome), **_requests(outcome), **_measures(node, outcome)}
        | {**_restated(node, outcome), **_preview(outcome)}
        | {"pipeline_logging_id": run_id, "days_covered": outcome.days_covered}
        | ({"quality_report": dg.MetadataValue.path(report)} if node.suite else {})
        | ({"dagster/column_lineage": lineage} if lineage else {}),
    )


def check_evaluations(node: Node, outcomes: Sequence[SliceOutcome]) -> Iterator[dg.AssetCheckEvaluation]:
    """One evaluation per expectation and slice; of a slice with several writers it passes if all of them pass.

    Recording an evaluation takes Dagster milliseconds, so a run over many slices records each failure, and what passed
    once per expectation for the newest slice. ``metadata.dq_results`` always has every one.
    A slice that never came to its audit gives none: what did not run neither passed nor failed.
    """
    results = [(outcome, check, found) for outcome in outcomes for check, found in _results(node, outcome)]
    if len(results) <= EVALUATIONS_PER_TABLE:
        shown = results
    else:
        newest = {check.name: (outcome, check, found) for outcome, check, found in results if _passed(found)}
        shown = [*newest.values(), *(result for result in results if not _passed(result[2]))]
    for outcome, check, found in shown:
        yield _evaluation(node, outcome, check_name(check), found)


def _results(node: Node, outcome: SliceOutcome) -> Iterator[tuple[Expectation, list[Found]]]:
    for expectation in node.suite:
        found = [
            (p, c) for p in outcome.parts for c in p.audited.checks if c.expectation_id == expectation.name
        ]
        if found:
            yield expectation, found


def _passed(found: Sequence[Found]) -> bool:
    return all(check.success for _, check in found)


def _evaluation(
    node: Node, outcome: SliceOutcome, name: str, found: Sequence[Found]
) -> dg.AssetCheckEvaluation:
    first = next((c for _, c in found if not c.success), found[0][1])
    metadata = _check_metadata(first, found)
    return dg.AssetCheckEvaluation(
        asset_key=table_key(node.table),
        check_name=name,
        passed=_passed(found),
        severity=dg.AssetCheckSeverity.ERROR if first.severity == "critical" else dg.AssetCheckSeverity.WARN,
        description=first.error or f"{first.type}: {'ok' if first.success else 'failed'}",
        metadata=metadata,
        partition=str(outcome.key),
    )


def _check_metadata(first: CheckOutcome, found: Sequence[Found]) -> dict[str, Any]:
    """``first``: the writer's result that is told; counts are of all writers."""
    rows, missing, unexpected = (
        sum(getattr(c, f"{what}_count") or 0 for _, c in found)
        for what in ("element", "missing", "unexpected")
    )
    metadata: dict[str, Any] = {
        "severity": str(first.severity),
        "observed_value": observed_text(first.observed_value) or "–",
        "sql": dg.MetadataValue.md(f"```sql\n{first.sql}\n```"),
    }
    if first.element_count is not None:
        metadata |= {"element_count": rows, "missing_count": missing, "unexpected_count": unexpected}
        metadata["unexpected_percent"] = unexpected / (rows - missing) * 100 if rows > missing else 0.0
    if first.details:
        metadata["details"] = dg.MetadataValue.json(dict(first.details))
    failing = [row for part, c in found for row in part.audited.failing_rows.get(c.expectation_id, ())]
    if failing:
        metadata["failing_rows"] = dg.MetadataValue.md(render_rows(failing))
    points = next((part.audited.history.get(c.expectation_id, ()) for part, c in found if c is first), ())
    if len(points) > 1:
        metadata["history"] = dg.MetadataValue.md(history_image(points[-SHOWN_POINTS:], first.expectation_id))
    return metadata


def _counts(outcome: SliceOutcome) -> dict[str, Any]:
    inserted = sum(part.rows_inserted for part in outcome.parts)
    changes = [change for part in outcome.parts for change in part.schema_changes]
    counts: dict[str, Any] = {
        "dagster/partition_row_count": inserted,
        "rows_inserted": inserted,
        "rows_deleted": sum(part.rows_deleted for part in outcome.parts),
        "checks_passed": sum(c.success for part in outcome.parts for c in part.audited.checks),
        "checks_failed": sum(not c.success for part in outcome.parts for c in part.audited.checks),
        "seconds": round(sum((part.ended - part.started).total_seconds() for part in outcome.parts), 3),
    }
    if changes:
        counts["schema_changes"] = dg.MetadataValue.md("\n".join(f"- {change}" for change in changes))
    return counts


def _requests(outcome: SliceOutcome) -> dict[str, Any]:
    pulls = [part.pull for part in outcome.parts if part.pull]
    if not pulls:
        return {}
    empty = all(p.records == 0 for p in pulls)
    rounded = "; ".join(text for p in pulls if (text := p.roundings.describe()))
    return {
        "requests": sum(p.requests for p in pulls),
        "bytes_received": sum(p.bytes for p in pulls),
        "unknown_fields": ", ".join(sorted({name for p in pulls for name in p.unknown_fields})) or "none",
        **({"rounded_money": rounded} if rounded else {}),
        **({"empty_answer": "the source answered with no rows; the slice is empty"} if empty else {}),
    }


def _measures(node: Node, outcome: SliceOutcome) -> dict[str, Any]:
    """Sums per currency (never across currencies), and the chart by dimension."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    bars: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for measured in (m for part in outcome.parts for m in part.audited.measures):
        currency, amount = (measured.currency or "").upper(), measured.amount or Decimal()
        totals[currency] += amount
        bars[currency, measured.dimension or "(none)"] += amount
    if node.measure is None or not totals:
        return {}
    named = {
        f"{node.measure.column}_{currency}".rstrip("_"): total for currency, total in sorted(totals.items())
    }
    shown: dict[str, Any] = {name: dg.MetadataValue.text(f"{total:f}") for name, total in named.items()}
    shown |= {f"{name}_approx": dg.MetadataValue.float(float(total)) for name, total in named.items()}
    shown["chart"] = dg.MetadataValue.md(bar_chart(f"{node.measure.column} of {outcome.key}", bars))
    return shown


def _restated(node: Node, outcome: SliceOutcome) -> dict[str, Any]:
    """What a slice that was there before became, by the measure's dimension; nothing of a first slice."""
    found = [part.audited.restatement for part in outcome.parts if part.audited.restatement]
    again = [restated for restated in found if not restated.first_time]
    if node.measure is None or not again:
        return {}
    changes = sorted((c for r in again for c in r.changes), key=lambda c: -abs(c.difference))
    before, after = sum(r.rows_before for r in again), sum(r.rows_after for r in again)
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for change in changes:
        totals[(change.currency or "").upper()] += change.difference
    told = [f"rows {before} → {after}", *(f"{c} {d:+f}".strip() for c, d in sorted(totals.items()))]
    rows = [
        {
            node.measure.by or "": change.dimension,
            "currency": change.currency,
            "before": change.amount_before,
            "after": change.amount_after,
            "difference": change.difference,
            "rows": f"{change.rows_before} → {change.rows_after}",
        }
        for change in changes[:CHANGES_SHOWN]
    ]
    more = f"\n\n… and {len(changes) - CHANGES_SHOWN} more" if len(changes) > CHANGES_SHOWN else ""
    table = f"\n\n{render_rows(rows)}{more}" if rows else "; no amount changed"
    return {"what_changed": dg.MetadataValue.md(", ".join(told) + table)}


def _preview(outcome: SliceOutcome) -> dict[str, Any]:
    rows = [row for part in outcome.parts for row in part.audited.preview][:5]
    return {"preview": dg.MetadataValue.md(render_rows(rows, PREVIEW_COLUMNS))} if rows else {}


def render_rows(rows: Sequence[Mapping[str, Any]], most_columns: int = PREVIEW_COLUMNS) -> str:
    """Rows as a Markdown table; of wide tables the columns that hold something come first."""
    filled = [name for name in rows[0] if any(row.get(name) not in (None, "") for row in rows)]
    names = [*filled, *(name for name in rows[0] if name not in filled)][:most_columns]
    lines = [names, ["---"] * len(names), *([_cell(row.get(name)) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any, longest: int = 60) -> str:
    text = "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
    text = text.replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= longest else text[: longest - 1] + "…"
