"""What may be declared under ``access:``, and what a table refuses of it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from platform_assets.engine.errors import RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.access import (
    RowRule,
    TableAccess,
    require_possible,
)
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema, TableSpec

RUNS = TableSpec(
    TableName("organizations", "runs"),
    TableSchema(
        (
            Field("x_tenant", FieldType.STRING),
            Field("day", FieldType.DATE),
            Field("rows", FieldType.INT64),
            Field("late", FieldType.BOOL),
            Field("note", FieldType.JSON),
            Field("tags", FieldType.STRING, Mode.REPEATED),
        )
    ),
)
PIPELINE = "serviceAccount:pipeline@project.example"


def access(**declared: Any) -> TableAccess:
    return TableAccess.model_validate({"sees_all": [PIPELINE]} | declared)


def rule(name: str = "acme", **where: Any) -> dict[str, Any]:
    return {"name": name, "grantees": ["group:acme@example.com"], "where": where}


def test_all_problems_are_said_at_once() -> None:
    declared = access(
        sees_all=[],
        rows=[
            rule(x_tenant=["a"], missing=[1]),
            rule(note=["x"]),
            rule("other", tags=["x"], rows=["12"], late=[1], day=["2026-01-31"]),
        ],
        views=[{"dataset": "organizations", "view": "v", "columns": ["gone"], "where": {"rows": [True]}}],
    )
    with pytest.raises(RejectedError) as raised:
        require_possible(RUNS, declared)
    for words in (
        "organizations.runs: access:",
        "rule acme is declared twice",
        "rows needs sees_all",
        "rule acme: there is no column missing",
        "rule acme: column note is JSON",
        "rule other: column tags is STRING REPEATED",
        "rule other: column rows is INT64, which '12' is not",
        "rule other: column late is BOOL, which 1 is not",
        "rule other: column day is DATE, which '2026-01-31' is not",
        "view v must be in another dataset",
        "view v: there is no column gone",
        "view v: column rows is INT64, which True is not",
    ):
        assert words in str(raised.value)


@pytest.mark.parametrize(
    "principal",
    [
        "allUsers",
        "allAuthenticatedUsers",
        "acme@example.com",
        'group:a@b") FILTER USING (TRUE) --',
        "group:a b@example.com",
        "domain:",
        "group:a'@example.com",
    ],
)
def test_only_named_principals_are_granted_anything(principal: str) -> None:
    with pytest.raises(ValidationError):
        RowRule.model_validate(rule(x_tenant=["a"]) | {"grantees": [principal]})


@pytest.mark.parametrize(
    "wrong", [{"where": {}}, {"where": {"x_tenant": []}}, {"grantees": []}, {"sql": "TRUE"}]
)
def test_a_rule_says_who_and_which(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RowRule.model_validate(rule(x_tenant=["a"]) | wrong)
