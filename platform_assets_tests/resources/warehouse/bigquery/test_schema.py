"""Fields to and from REST, and changes as the patch or the DDL that brings them about."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.cloud.bigquery import SchemaField
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.errors import RejectedError
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema
from platform_assets.engine.schema.planning import plan_changes
from platform_assets.resources.warehouse.bigquery.schema import (
    from_rest,
    label,
    labels,
    patched_fields,
    relaxed,
    rest_fields,
    table_schema,
    to_rest,
    widening_statements,
)
from platform_assets_tests.resources.warehouse.bigquery.rows import EVERYTHING

LEAVES = [kind for kind in FieldType if kind is not FieldType.STRUCT]


def fields(depth: int = 2) -> st.SearchStrategy[Field]:
    names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
    modes, words = st.sampled_from(Mode), st.sampled_from(["", "Some words."])
    leaf = st.builds(Field, names, st.sampled_from(LEAVES), modes, words)
    if depth == 0:
        return leaf
    inner = st.lists(fields(depth - 1), min_size=1, max_size=3).map(tuple)
    return leaf | st.builds(Field, names, st.just(FieldType.STRUCT), modes, words, inner)


@given(fields())
def test_a_field_survives_the_way_to_rest_and_back(field: Field) -> None:
    assert from_rest(to_rest(field)) == field
    assert table_schema(rest_fields(TableSchema((field,)))) == TableSchema((field,))


@pytest.mark.parametrize("kind", ["GEOGRAPHY", "RANGE", "INTERVAL"])
def test_types_we_have_no_form_for_are_named(kind: str) -> None:
    with pytest.raises(RejectedError, match=f"column x: type {kind}"):
        from_rest({"name": "x", "type": kind})


def test_a_patch_keeps_what_we_know_nothing_of() -> None:
    tagged = {
        "name": "secret",
        "type": "STRING",
        "mode": "REQUIRED",
        "policyTags": {"names": ["projects/p/locations/eu/taxonomies/1/policyTags/2"]},
        "defaultValueExpression": "'x'",
    }
    current = [SchemaField.from_api_repr(tagged)]
    wanted = TableSchema(
        (Field("secret", FieldType.STRING, description="New."), Field("more", FieldType.JSON))
    )
    patched = patched_fields(current, plan_changes(table_schema(current), wanted))
    assert patched is not None
    assert [field.to_api_repr() for field in patched] == [
        tagged | {"mode": "NULLABLE", "description": "New."},
        {"name": "more", "type": "JSON", "mode": "NULLABLE"},
    ]


def test_nothing_to_patch_is_no_patch() -> None:
    current = rest_fields(EVERYTHING)
    assert patched_fields(current, plan_changes(EVERYTHING, EVERYTHING)) is None


def test_a_number_inside_a_struct_is_widened_by_the_whole_structs_type() -> None:
    inner = Field(
        "deep", FieldType.STRUCT, fields=(Field("n", FieldType.INT64), Field("s", FieldType.STRING))
    )
    current = TableSchema((Field("r", FieldType.STRUCT, fields=(Field("m", FieldType.NUMERIC), inner)),))
    wide = replace(inner, fields=(Field("n", FieldType.FLOAT64), inner.fields[1]))
    wanted = TableSchema(
        (
            Field(
                "r",
                FieldType.STRUCT,
                fields=(Field("m", FieldType.BIGNUMERIC), wide, Field("new", FieldType.STRING)),
            ),
        )
    )
    assert widening_statements("`d`.`t`", current, plan_changes(current, wanted)) == [
        "ALTER TABLE `d`.`t` ALTER COLUMN `r` SET DATA TYPE "
        "STRUCT<`m` BIGNUMERIC, `deep` STRUCT<`n` FLOAT64, `s` STRING>>"
    ]


def test_staging_takes_nulls_everywhere() -> None:
    strict = TableSchema(
        (Field("a", FieldType.DATE, Mode.REQUIRED), Field("b", FieldType.DATE, Mode.REPEATED))
    )
    assert [f.mode for f in relaxed(strict).fields] == [Mode.NULLABLE, Mode.REPEATED]


@given(st.text(max_size=100))
def test_labels_are_what_bigquery_takes(text: str) -> None:
    made = label(text)
    assert len(made) <= 63 and all(c in "abcdefghijklmnopqrstuvwxyz0123456789_-" for c in made)


def test_the_tenant_label_cannot_be_declared_away() -> None:
    assert labels("acme1281", [("tenant", "globex"), ("Pipeline", "A b")]) == {
        "tenant": "acme1281",
        "pipeline": "a_b",
    }
