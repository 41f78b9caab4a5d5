from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.errors import RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema
from platform_assets.engine.schema.planning import (
    WIDENINGS,
    AddColumn,
    CreateTable,
    DescribeColumn,
    RelaxColumn,
    WidenColumn,
    apply_plan,
    plan_changes,
)

F, M = FieldType, Mode
COSTS = TableName("raw_openai", "costs")


def schema(*fields: Field) -> TableSchema:
    return TableSchema(fields)


def test_without_a_table_one_is_created() -> None:
    wanted = schema(Field("a", F.STRING, M.REQUIRED))
    assert plan_changes(None, wanted).changes == (CreateTable(wanted),)


def test_the_same_schema_needs_nothing_whatever_its_order_and_case() -> None:
    a, b = Field("a", F.STRING), Field("B", F.INT64)
    plan = plan_changes(schema(a, b), schema(replace(b, name="b"), a))
    assert (plan.changes, plan.refusals) == ((), ())


CHANGES = [
    (Field("c", F.STRING, M.REQUIRED), Field("c", F.STRING), RelaxColumn(("c",)), "relax c from REQUIRED to NULLABLE"),
    (
        Field("c", F.INT64),
        Field("c", F.NUMERIC),
        WidenColumn(("c",), F.INT64, F.NUMERIC),
        "widen c from INT64 to NUMERIC",
    ),
    (Field("c", F.STRING), Field("c", F.STRING, description="x"), DescribeColumn(("c",), "x"), "describe c"),
    (
        Field("c", F.STRUCT, fields=(Field("a", F.STRING),)),
        Field("c", F.STRUCT, fields=(Field("a", F.STRING), Field("b", F.DATE, M.REPEATED))),
        AddColumn(("c", "b"), Field("b", F.DATE, M.REPEATED)),
        "add c.b DATE REPEATED",
    ),
    (
        Field("c", F.STRUCT, M.REPEATED, "", (Field("a", F.STRING, M.REQUIRED),)),
        Field("c", F.STRUCT, M.REPEATED, "", (Field("a", F.STRING),)),
        RelaxColumn(("c", "a")),
        "relax c.a from REQUIRED to NULLABLE",
    ),
    (
        Field("c", F.STRUCT, fields=(Field("a", F.INT64),)),
        Field("c", F.STRUCT, fields=(Field("a", F.FLOAT64),)),
        WidenColumn(("c", "a"), F.INT64, F.FLOAT64),
        "widen c.a from INT64 to FLOAT64",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "change", "words"), CHANGES, ids=[w for *_, w in CHANGES])
def test_a_change_is_planned_and_said(old: Field, new: Field, change: object, words: str) -> None:
    plan = plan_changes(schema(old), schema(new))
    assert plan.changes == (change,)
    assert plan.describe() == (words,)
    assert apply_plan(schema(old), plan) == schema(new)


def test_a_new_column_comes_last() -> None:
    plan = plan_changes(schema(Field("a", F.STRING)), schema(Field("b", F.DATE), Field("a", F.STRING)))
    assert apply_plan(schema(Field("a", F.STRING)), plan).names == ("a", "b")


def test_columns_of_the_table_alone_are_left_alone() -> None:
    current = schema(Field("a", F.STRING), Field("mine", F.BYTES, M.REQUIRED))
    plan = plan_changes(current, schema(Field("a", F.STRING)))
    assert apply_plan(current, plan) == current


REFUSED = [
    (Field("c", F.STRING), Field("c", F.INT64)),
    (Field("c", F.NUMERIC), Field("c", F.INT64)),
    (Field("c", F.BIGNUMERIC), Field("c", F.NUMERIC)),
    (Field("c", F.FLOAT64), Field("c", F.NUMERIC)),
    (Field("c", F.DATE), Field("c", F.TIMESTAMP)),
    (Field("c", F.STRING), Field("c", F.STRING, M.REQUIRED)),
    (Field("c", F.STRING), Field("c", F.STRING, M.REPEATED)),
    (Field("c", F.STRING, M.REPEATED), Field("c", F.STRING)),
    (Field("c", F.STRING, M.REQUIRED), Field("c", F.STRING, M.REPEATED)),
    (Field("c", F.INT64, M.REPEATED), Field("c", F.NUMERIC, M.REPEATED)),
    (Field("c", F.STRUCT, fields=(Field("a", F.STRING),)), Field("c", F.JSON)),
]


@pytest.mark.parametrize(
    ("old", "new"), REFUSED, ids=[f"{o.type}{o.mode}-{n.type}{n.mode}" for o, n in REFUSED]
)
def test_anything_else_is_refused_naming_both_types(old: Field, new: Field) -> None:
    plan = plan_changes(schema(old), schema(new))
    assert plan.changes == ()
    with pytest.raises(RejectedError) as caught:
        plan.require_allowed(COSTS)
    assert "raw_openai.costs column c: " in str(caught.value)
    assert old.type.value in str(caught.value)
    assert new.type.value in str(caught.value)


def test_all_refusals_come_at_once_nested_ones_too() -> None:
    current = schema(
        Field("a", F.STRING),
        Field("s", F.STRUCT, M.REPEATED, "", (Field("x", F.INT64), Field("y", F.DATE))),
    )
    wanted = schema(
        Field("a", F.BOOL),
        Field(
            "s",
            F.STRUCT,
            M.REPEATED,
            "",
            (Field("x", F.NUMERIC), Field("y", F.STRING), Field("z", F.DATE, M.REQUIRED)),
        ),
        Field("new", F.STRING, M.REQUIRED),
    )
    paths = [".".join(r.path) for r in plan_changes(current, wanted).refusals]
    assert paths == ["a", "s.x", "s.y", "s.z", "new"]
    with pytest.raises(RejectedError):
        apply_plan(current, plan_changes(current, wanted))


# --- Properties -----------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c", "D", "e1"])
leaf_types = st.sampled_from([t for t in FieldType if t is not F.STRUCT])
texts = st.sampled_from(["", "first", "second"])


def fields(depth: int) -> st.SearchStrategy[tuple[Field, ...]]:
    leaf = st.builds(Field, names, leaf_types, st.sampled_from(Mode), texts)
    one = leaf
    if depth:
        struct = st.builds(
            lambda name, mode, inner: Field(name, F.STRUCT, mode, "", inner),
            names,
            st.sampled_from(Mode),
            fields(depth - 1),
        )
        one = st.one_of(leaf, struct)
    return st.lists(one, min_size=1, max_size=4, unique_by=lambda f: f.name.lower()).map(tuple)


schemas = fields(2).map(TableSchema)


@st.composite
def evolutions(draw: st.DrawFn) -> tuple[TableSchema, TableSchema]:
    """A schema, and one that it may grow into."""

    def grown(old: Field, in_list: bool) -> Field:
        in_list = in_list or old.mode is M.REPEATED
        mode = M.NULLABLE if old.mode is M.REQUIRED and draw(st.booleans()) else old.mode
        wider = [old.type] if in_list else [old.type, *sorted(WIDENINGS.get(old.type, ()))]
        inner = grown_all(old.fields, in_list) if old.fields else ()
        return replace(old, mode=mode, type=draw(st.sampled_from(wider)), fields=inner)

    def grown_all(old: tuple[Field, ...], in_list: bool) -> tuple[Field, ...]:
        new = draw(
            st.lists(st.tuples(leaf_types, st.sampled_from([M.NULLABLE, M.REPEATED]), texts), max_size=2)
        )
        added = (Field(f"new{n}", kind, mode, text) for n, (kind, mode, text) in enumerate(new))
        return (*(grown(f, in_list) for f in old), *added)

    current = draw(schemas)
    return current, TableSchema(grown_all(current.fields, False))


@given(evolutions())
def test_growth_is_never_refused_and_ends_as_wanted(pair: tuple[TableSchema, TableSchema]) -> None:
    current, wanted = pair
    plan = plan_changes(current, wanted)
    assert plan.refusals == ()
    assert apply_plan(current, plan) == wanted


@given(current=st.none() | schemas, wanted=schemas)
def test_a_plan_applied_leaves_nothing_to_do(current: TableSchema | None, wanted: TableSchema) -> None:
    plan = plan_changes(current, wanted)
    if not plan.refusals:
        again = plan_changes(apply_plan(current, plan), wanted)
        assert (again.changes, again.refusals) == ((), ())


@given(current=schemas, wanted=schemas)
def test_a_plan_never_drops_moves_or_narrows(current: TableSchema, wanted: TableSchema) -> None:
    plan = plan_changes(current, wanted)
    if not plan.refusals:
        after = apply_plan(current, plan)
        assert after.names[: len(current.names)] == current.names
        for old, new in zip(current.fields, after.fields, strict=False):
            assert new.type is old.type or new.type in WIDENINGS[old.type]
            assert new.mode is old.mode or (old.mode, new.mode) == (M.REQUIRED, M.NULLABLE)


@given(schemas)
def test_a_schema_planned_against_itself_is_empty(one: TableSchema) -> None:
    plan = plan_changes(one, one)
    assert (plan.changes, plan.refusals) == ((), ())
