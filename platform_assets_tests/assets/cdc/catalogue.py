"""Claims of one partner, small enough to work out every metric by hand, and what the hand worked out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARTNER = {"partner": "abertta"}
WRANGLING = {
    "refined_unprocessable_claims_output_table": "u",
    "refined_processable_claims_output_table": "p",
    "refined_unprocessable_claims_historical_table": "uh",
    "refined_processable_claims_historical_table": "ph",
}
APPROVAL = {
    "unprocessable_claims_input_table": "u",
    "processable_claims_input_table": "p",
    "unprocessable_claims_output_table": "uh",
    "processable_claims_output_table": "ph",
    "excluded_savings_input_table": "excluded",
    "savings_input_table": "savings",
    "selected_savings_input_table": "selected",
}
SELECTION = {"excluded_savings_output_table": "excluded", "savings_input_table": "savings"}
EVALUATION = {"savings_output_table": "savings"}
RELEASE = {
    "internal_validation": {"internal_validation_claims_input_table": "internal"},
    "manual_validation": {"manual_validation_claims_input_table": "manual"},
}
SUBMISSION = {
    "submission_run_id": "run1",
    "claims_submitted_output_table": "submitted",
    "internal_validation_output_table": "internal",
    "manual_validation_output_table": "manual",
    "unprocessable_claims_historical_table": "uh",
    "processable_claims_historical_table": "ph",
    "selected_savings_historical_table": "selected_history",
}
VARIABLES: Mapping[str, Mapping[str, Any]] = {
    "pipesv2_wrangling": WRANGLING,
    "pipesv2_approval": APPROVAL,
    "pipesv2_selection": SELECTION,
    "pipesv2_evaluation": EVALUATION,
    "pipesv2_release": RELEASE,
    "pipesv2_submission": SUBMISSION,
}

CLAIMS = (
    "id_arvo VARCHAR, id_prestador BIGINT, id_matricula VARCHAR, id_fatura VARCHAR, vl_pago DECIMAL(38, 9),"
    " vl_info DECIMAL(38, 9), created_at TIMESTAMPTZ, ingested_at TIMESTAMPTZ"
)
VALIDATION = (
    "id_arvo VARCHAR, id_fatura VARCHAR, vl_glosa_arvo DECIMAL(38, 9), status VARCHAR, filtered_reason VARCHAR,"
    " ingested_at TIMESTAMPTZ, updated_at TIMESTAMP"
)
SAVINGS = "agent_id BIGINT, vl_glosa_arvo DECIMAL(38, 9)"

# The change is of 2025-11-05 18:23:31 UTC. Providers: the batch has 1, 2, 3. History: 1 (10 days ago), 2 (in the
# batch's own claim a3, so not known by it), 4 (10 days ago), 5 and 6 (40 days ago), 7 (80 days), 8 (100 days, too old).
# Submission window: the last row of run1 was ingested at 18:00, so from 2025-11-03 18:00 to 2025-11-05 18:00.
TABLES: Mapping[str, tuple[str, str]] = {
    "u": (CLAIMS, "('a1', 1, 'b1', 'f1', 1500, 0, NULL, NULL)"),
    "p": (
        CLAIMS,
        "('a2', 2, 'b1', 'f2', 5000, 0, NULL, NULL), ('a3', 3, 'b2', 'f3', 3000, 0, NULL, NULL),"
        " ('a4', NULL, NULL, 'f3', NULL, 0, NULL, NULL)",
    ),
    "uh": (
        CLAIMS,
        "('h1', 1, 'b9', 'f1', 100, 10, '2025-10-26 00:00:00+00', '2025-11-04 00:00:00+00'),"
        " ('h5', 5, 'b5', 'f5', 50, 5, '2025-09-26 00:00:00+00', '2025-11-03 18:00:00+00'),"
        " ('h8', 8, 'b2', 'f8', 1, 1, '2025-07-28 00:00:00+00', '2025-11-03 17:59:00+00')",
    ),
    "ph": (
        CLAIMS,
        "('a3', 2, 'b1', 'f2', 200, 20, '2025-10-26 00:00:00+00', '2025-11-05 18:00:00+00'),"
        " ('h4', 4, 'b4', 'pending', 300, 30, '2025-10-26 00:00:00+00', '2025-11-05 00:00:00+00'),"
        " ('h6', 6, 'b6', 'f6', 150, 15, '2025-09-26 00:00:00+00', '2025-11-04 12:00:00+00'),"
        " ('h7', 7, 'b7', 'f7', 9, 9, '2025-08-17 00:00:00+00', '2025-11-05 18:01:00+00')",
    ),
    "excluded": (SAVINGS, "(1, 300), (2, 200), (2, NULL)"),
    "savings": (SAVINGS, "(1, 1000), (1, 500), (2, 500), (NULL, NULL)"),
    "selected": (SAVINGS, "(1, 700), (2, 70)"),
    "submitted": (
        "id_arvo VARCHAR, status VARCHAR, vl_glosa_arvo DECIMAL(38, 9), submission_run_id VARCHAR,"
        " ingested_at TIMESTAMPTZ",
        # h1 was sent twice: it counts once
        "('h1', 'SUBMITTED_SUCCESS', 10, 'run1', '2025-11-05 18:00:00+00'),"
        " ('h1', 'SUBMITTED_SUCCESS', 10, 'run0', '2025-11-04 18:00:00+00'),"
        " ('h5', 'SUBMITTED_ERROR', 20, 'run1', '2025-11-05 17:00:00+00'),"
        " ('h6', NULL, 40, 'run0', '2025-11-01 17:00:00+00'),"
        " ('h4', 'SUBMITTED_SUCCESS', 80, 'run2', '2025-11-05 19:00:00+00')",
    ),
    "internal": (
        VALIDATION,
        "('h1', 'f1', 10, 'APPROVED', NULL, '2025-11-05 10:00:00+00', '2025-11-05 18:00:00'),"
        " ('h4', 'pending', 80, 'SENT_FOR_VALIDATION', NULL, '2025-11-05 10:00:00+00', '2025-11-05 18:00:00'),"
        " ('x1', 'f9', 7, 'EXPIRED', NULL, '2025-11-05 10:00:00+00', '2025-11-05 17:53:31.393'),"
        " ('x2', 'f9', 9, 'EXPIRED', NULL, '2025-11-05 10:00:00+00', '2025-11-05 17:53:31.392'),"
        " ('h5', 'f5', 20, 'NOT_SENT_FOR_VALIDATION', 'SHARED_ID_FATURA', '2025-11-05 10:00:00+00',"
        " '2025-11-05 18:00:00')",
    ),
    "manual": (
        VALIDATION,
        "('h6', 'f6', 40, 'SUBMITTED_SUCCESS', 'OTHER', '2025-11-04 10:00:00+00', '2025-11-05 18:00:00'),"
        " ('x3', 'f9', 1, 'EXPIRED', NULL, '2025-11-03 18:23:31.393+00', '2025-11-05 18:23:31.393'),"
        " ('x4', 'f9', 2, 'EXPIRED', NULL, '2025-11-03 18:23:31.392+00', '2025-11-05 18:23:31.393')",
    ),
    "selected_history": (
        "id_arvo VARCHAR, id_fatura VARCHAR, vl_glosa_arvo DECIMAL(38, 9), ingested_at TIMESTAMPTZ",
        "('h5', 'f5', 20, '2025-11-05 10:00:00+00'), ('h4', 'pending', 80, '2025-11-05 10:00:00+00'),"
        " ('h9', 'f9', 30, '2025-11-03 18:00:00+00'), ('h10', 'f9', 1000, '2025-11-03 17:59:00+00')",
    ),
}


def statements(schema: str = "tmp_abertta", only: Mapping[str, tuple[str, str]] = TABLES) -> list[str]:
    """DDL and rows for DuckDB."""
    found = [f"CREATE SCHEMA IF NOT EXISTS {schema}"]
    for name, (columns, rows) in only.items():
        found.append(f"CREATE TABLE {schema}.{name} ({columns})")
        if rows:
            found.append(f"INSERT INTO {schema}.{name} VALUES {rows}")
    return found


_BATCH = {
    "claims/pipeline/filtered_pre/vl_pago/total": 1500.0,
    "claims/pipeline/filtered_pre/vl_pago/relative": 1500 / 8000,
    "claims/pipeline/processable/vl_pago/total": 8000.0,
    "claims/pipeline/processable/vl_pago/relative": 8000 / 9500,
    # of 1, 2, 3 only 1 is known: 2's claim is the batch's own, 8 is too old
    "claims/pipeline/providers/new_pct_last_3_mo": 2 / 3,
    # b1 stands in the batch's own claim only, b2 in a claim that is too old
    "claims/pipeline/beneficiaries/new_pct_last_3_mo": 2 / 2,
    # {1, 2, 3} and {1, 2, 4} over {5, 6}
    "claims/pipeline/providers/volume_ratio_last_1_mo": 4 / 2,
    # {b1, b2} and {b9, b1, b4} over {b5, b6}
    "claims/pipeline/beneficiaries/volume_ratio_last_1_mo": 4 / 2,
}
Key = tuple[str, tuple[tuple[str, str], ...]]


def _labelled(values: Mapping[str, float], **labels: str) -> dict[Key, float]:
    return {(name, tuple(sorted({**PARTNER, **labels}.items()))): value for name, value in values.items()}


def _post_filter(approved: str) -> dict[Key, float]:
    values = {
        "claims/pipeline/filtered_post/vl_glosa_arvo/total": 500.0,
        "claims/pipeline/filtered_post/vl_glosa_arvo/relative": 500 / 2000,
    }
    return _labelled(values, approved=approved)


def _savings(approved: str) -> dict[Key, float]:
    agents = {"1": (1500.0, 2.0), "2": (500.0, 1.0), "unknown": (0.0, 1.0)}
    found: dict[Key, float] = {}
    for agent, (value, count) in agents.items():
        names = {"claims/pipeline/savings/vl_glosa_arvo": value, "claims/pipeline/savings/count": count}
        found |= _labelled(names, approved=approved, agent_id=agent)
    return found


def _by_status(name: str, **values: float) -> dict[Key, float]:
    return {key: v for status, v in values.items() for key, v in _labelled({name: v}, status=status).items()}


# Received: h1 100, h5 50, a3 200, h6 150 (h4 waits for validation, h8 and h7 are out of the window) = 500, and a tenth
# of that in vl_info.
_RECEIVED = {"SUBMITTED_SUCCESS": 100 / 500, "SUBMITTED_ERROR": 50 / 500, "unknown": 150 / 500}
# Accepted: h5 20, h9 30, internal h1 10, manual h6 40 = 100.
_ACCEPTED = {"SUBMITTED_SUCCESS": 10 / 100, "SUBMITTED_ERROR": 20 / 100, "unknown": 40 / 100}
# Validated: internal h1 10, x1 7, x2 9; manual h6 40, x3 1 and x4 2 (both after 2025-11-03 18:00) = 69.
_VALIDATED = {"SUBMITTED_SUCCESS": 10 / 69, "SUBMITTED_ERROR": 0.0, "unknown": 40 / 69}

EXPECTED: Mapping[str, Mapping[Key, float]] = {
    "pipesv2_wrangling": _labelled(_BATCH, approved="false"),
    "pipesv2_approval": {
        **_labelled(_BATCH, approved="true"),
        **_post_filter("true"),
        **_savings("true"),
        **_labelled({"claims/glosa/approved/vl_glosa_arvo": 700.0}, source="selected_savings", agent_id="1"),
        **_labelled({"claims/glosa/approved/vl_glosa_arvo": 70.0}, source="selected_savings", agent_id="2"),
    },
    "pipesv2_selection": _post_filter("false"),
    "pipesv2_evaluation": _savings("false"),
    # x1 7 and x3 1; x2 expired too early, x4 was ingested too early
    "pipesv2_release": _labelled({"claims/pipeline/validation/vl_glosa_arvo/expired/total": 8.0}),
    "pipesv2_submission": {
        **_by_status("claims/pipeline/claims/vl_pago/sent_over_recv_last_2_days", **_RECEIVED),
        **_by_status("claims/pipeline/claims/vl_info/sent_over_recv_last_2_days", **_RECEIVED),
        **_by_status("claims/pipeline/savings/vl_glosa_arvo/sent_over_accepted_last_2_days", **_ACCEPTED),
        **_by_status("claims/pipeline/savings/vl_glosa_arvo/sent_over_validation_last_2_days", **_VALIDATED),
        # h5 20, sent whole
        **_labelled({"claims/pipeline/savings/vl_glosa_arvo/shared_id_fatura_sent_over_validation": 1.0}),
    },
}
