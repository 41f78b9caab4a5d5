from __future__ import annotations

from typing import Any

import pytest

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema
from platform_assets.engine.schema.reading import (
    STANDARD_COLUMNS,
    inspect_schema,
    read_schema,
    with_standard_columns,
)


def test_a_schema_is_read_with_its_aliases_and_nesting() -> None:
    raw = [
        {"name": "id", "type": "integer", "mode": "required", "description": "Key."},
        {"name": "price", "type": "FLOAT"},
        {"name": "ok", "type": "BOOLEAN"},
        {"name": "email", "type": "STRING", "pii": True},
        {"name": "amount", "type": "BIGNUMERIC"},
        {
            "name": "lines",
            "type": "RECORD",
            "mode": "REPEATED",
            "fields": [
                {"name": "sku", "type": "STRING"},
                {"name": "n", "type": "NUMERIC", "mode": "REQUIRED"},
            ],
        },
    ]
    lines = (Field("sku", FieldType.STRING), Field("n", FieldType.NUMERIC, Mode.REQUIRED))
    assert read_schema(raw) == TableSchema(
        (
            Field("id", FieldType.INT64, Mode.REQUIRED, "Key."),
            Field("price", FieldType.FLOAT64),
            Field("ok", FieldType.BOOL),
            Field("email", FieldType.STRING, pii=True),
            Field("amount", FieldType.BIGNUMERIC),
            Field("lines", FieldType.STRUCT, Mode.REPEATED, "", lines),
        )
    )


@pytest.mark.parametrize(
    "mark", [{"pii": True}, {"policy": "pii"}, {"policyTags": {"names": ["projects/p/taxonomies/1"]}}]
)
def test_columns_under_a_policy_are_personal(mark: dict[str, Any]) -> None:
    assert read_schema([{"name": "email", "type": "STRING", **mark}]).fields[0].pii


WRONG: list[tuple[Any, str, str, str | None]] = [
    ({}, "fields", "list", None),
    ([], "fields", "at least one", None),
    (["id"], "fields[0]", "object", None),
    ([{"type": "STRING"}], "fields[0].name", "None", None),
    ([{"name": "1st", "type": "STRING"}], "fields[0].name", "'1st'", None),
    ([{"name": "a-b", "type": "STRING"}], "fields[0].name", "'a-b'", None),
    ([{"name": "_PARTITIONTIME", "type": "STRING"}], "fields[0].name", "prefix", None),
    ([{"name": "a", "type": "STRNG"}], "fields[0].type", "'STRNG'", "STRING"),
    ([{"name": "a", "type": "TIMESTAMPTZ"}], "fields[0].type", "'TIMESTAMPTZ'", "TIMESTAMP"),
    ([{"name": "a"}], "fields[0].type", "None", None),
    ([{"name": "a", "type": 5}], "fields[0].type", "5", None),
    ([{"name": "a", "type": "STRING", "mode": "OPTIONAL"}], "fields[0].mode", "'OPTIONAL'", None),
    ([{"name": "a", "type": "STRING", "mode": "NULABLE"}], "fields[0].mode", "'NULABLE'", "NULLABLE"),
    (
        [{"name": "a", "type": "STRING", "desciption": "x"}],
        "fields[0].desciption",
        "not supported",
        "description",
    ),
    ([{"name": "a", "type": "STRING", "maxLength": "5"}], "fields[0].maxLength", "not supported", None),
    ([{"name": "a", "type": "STRING", "description": 5}], "fields[0].description", "1,024", None),
    ([{"name": "a", "type": "STRING", "pii": "yes"}], "fields[0].pii", "true or false", None),
    ([{"name": "a", "type": "STRING", "policy": "secret"}], "fields[0].policy", "'secret'", "pii"),
    ([{"name": "a", "type": "STRUCT"}], "fields[0].fields", "at least one", None),
    (
        [{"name": "a", "type": "STRING", "fields": [{"name": "b", "type": "STRING"}]}],
        "fields[0].fields",
        "STRUCT",
        None,
    ),
    (
        [{"name": "a", "type": "STRUCT", "fields": [{"name": "b", "type": "X"}]}],
        "fields[0].fields[0].type",
        "'X'",
        None,
    ),
    ([{"name": "a", "type": "STRING"}, {"name": "A", "type": "STRING"}], "fields[1].name", "twice", None),
]


@pytest.mark.parametrize(
    ("raw", "path", "reason", "nearest"), WRONG, ids=[f"{p}-{r}" for _, p, r, _ in WRONG]
)
def test_what_is_wrong_is_named_with_its_place(raw: Any, path: str, reason: str, nearest: str | None) -> None:
    _, problems = inspect_schema(raw)
    assert [(p.path, p.nearest) for p in problems] == [(path, nearest)]
    assert reason in problems[0].reason


def test_every_problem_is_reported_at_once_with_file_and_line() -> None:
    raw = [
        {"name": "a", "type": "STRNG"},
        {"name": "b", "type": "STRING", "mode": "X"},
        {"name": "c", "type": "DATE"},
    ]
    with pytest.raises(ConfigError) as caught:
        read_schema(raw, file="costs_schema.json", lines={"fields[1].mode": 7})
    assert [(p.file, p.line, p.field) for p in caught.value.problems] == [
        ("costs_schema.json", 1, "fields[0].type"),
        ("costs_schema.json", 7, "fields[1].mode"),
    ]


def test_nesting_ends_where_bigquery_ends_it() -> None:
    def nested(levels: int) -> list[dict[str, Any]]:
        if levels == 1:
            return [{"name": "leaf", "type": "STRING"}]
        return [{"name": "s", "type": "STRUCT", "fields": nested(levels - 1)}]

    assert inspect_schema(nested(15))[1] == ()
    assert "15 levels" in inspect_schema(nested(16))[1][0].reason


def test_standard_columns_are_added_behind_the_declared_ones() -> None:
    own = read_schema([{"name": "amount", "type": "BIGNUMERIC"}])
    assert with_standard_columns(own, "ingest").names == (
        "amount", "ingestion_date", "ingestion_timestamp", "pipeline_logging_id",
        "x_tenant", "x_pipeline", "x_credential", "x_run_date",
    )  # fmt: skip
    assert with_standard_columns(own, "transform").names == (
        "amount", "x_tenant", "x_pipeline", "x_run_date", "pipeline_logging_id", "ingestion_timestamp",
    )  # fmt: skip
    twice = with_standard_columns(with_standard_columns(own, "ingest"), "ingest")
    assert twice == with_standard_columns(own, "ingest")


def test_a_declared_standard_column_keeps_its_place_and_mode() -> None:
    own = read_schema([{"name": "X_Tenant", "type": "STRING"}, {"name": "a", "type": "INT64"}])
    complete = with_standard_columns(own, "ingest")
    assert complete.fields[0] == Field("X_Tenant", FieldType.STRING)
    assert len(complete.fields) == 1 + len(STANDARD_COLUMNS["ingest"])


def test_standard_columns_of_another_type_are_refused_together() -> None:
    own = read_schema(
        [{"name": "x_run_date", "type": "STRING"}, {"name": "x_tenant", "type": "STRING", "mode": "REPEATED"}]
    )
    with pytest.raises(ConfigError) as caught:
        with_standard_columns(own, "ingest", file="s.json")
    assert [p.field for p in caught.value.problems] == ["x_tenant", "x_run_date"]
