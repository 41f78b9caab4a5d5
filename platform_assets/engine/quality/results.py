"""Outcomes as they are kept and decided on: verdicts, ``dq_results`` rows, outcomes of audits that died.

Every check of a run leaves exactly one row, whether its slice was empty or its query never came back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.quality.model import CheckOutcome, Severity, Verdict


def verdict(outcomes: Iterable[CheckOutcome]) -> Verdict:
    """What the failures mean for the slice. Those that quarantine their rows block nothing: the rows are gone."""
    failed = [o for o in outcomes if not o.success]
    by_severity = {
        severity: tuple(o.expectation_id for o in failed if o.severity is severity and not _aside(o))
        for severity in Severity
    }
    return Verdict(
        critical=by_severity[Severity.CRITICAL],
        warning=by_severity[Severity.WARNING],
        info=by_severity[Severity.INFO],
        quarantine=tuple(o.expectation_id for o in failed if _aside(o)),
    )


def _aside(outcome: CheckOutcome) -> bool:
    return outcome.quarantine and not outcome.error


def crashed(suite: Sequence[Expectation], error: str) -> tuple[CheckOutcome, ...]:
    """One failed outcome per expectation for an audit that gave no answer; ``error`` says why."""
    return tuple(
        CheckOutcome(
            expectation_id=expectation.name,
            type=expectation.type,
            column=", ".join(expectation.columns) or None,
            severity=expectation.severity,
            success=False,
            error=error,
            quarantine=expectation.on_failure == "quarantine",
        )
        for expectation in suite
    )


def check_name(expectation: Expectation) -> str:
    """The Dagster asset check's name: ``[A-Za-z0-9_]+``, stable while type, columns and ``name`` stay."""
    return expectation.name


def dq_results_row(
    outcome: CheckOutcome,
    *,
    fact: str,
    tenant: str,
    pipeline_logging_id: str,
    pipeline_id: str,
    target_table: str,
    run_date: date | None,
    executed_at: datetime,
    ingestion_date: date,
    credential_id: str | None = None,
    dq_config_id: str | None = None,
    user_id: str | None = None,
) -> dict[str, Any]:
    """One row of ``metadata.dq_results``. ``fact`` names the audited slice within the run, so that writing the same
    result again completes the row instead of doubling it. ``success`` is null where the check itself failed."""
    return {
        "dq_result_id": f"{fact}:{outcome.expectation_id}",
        "tenant_id": tenant,
        "pipeline_logging_id": pipeline_logging_id,
        "pipeline_id": pipeline_id,
        "credential_id": credential_id,
        "target_table": target_table,
        "dq_config_id": dq_config_id,
        "run_date": run_date,
        "expectation_id": outcome.expectation_id,
        "expectation_type": outcome.type,
        "column_name": outcome.column,
        "severity": outcome.severity.value,
        "success": None if outcome.error else outcome.success,
        "element_count": outcome.element_count,
        "unexpected_count": outcome.unexpected_count,
        "observed_value": observed_text(outcome.observed_value),
        "details": plain(outcome.details),
        "error_message": outcome.error or None,
        "user_id": user_id,
        "executed_at": executed_at,
        "ingestion_date": ingestion_date,
    }


def observed_text(value: Any) -> str | None:
    """An observed value as text: numbers and dates as they are written, lists and mappings as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(plain(value), sort_keys=True, ensure_ascii=False)
    return str(plain(value))


def plain(value: Any) -> Any:
    """The value in JSON's own types: decimals and moments as text, what is not a finite number as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
