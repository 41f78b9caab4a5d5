from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import physical_dataset, tenant_of, valid_tenant
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.binding import bind, bind_query
from platform_assets.engine.sql.transform import parse_transform

DAY = (FieldType.DATE, date(2026, 1, 31))


def bound(text: str, tenant: str = "acme1281", **parameters: Any) -> str:
    return bind(parse_transform(text, file="x.sql"), tenant, parameters).sql


REWRITTEN = {
    "SELECT a FROM raw_openai.costs": "SELECT a FROM `acme1281_raw_openai`.`costs`",
    "SELECT c.a FROM `raw_openai.costs` AS c": "SELECT c.a FROM `acme1281_raw_openai`.`costs` AS c",
    "SELECT costs.a FROM raw_openai.costs": "SELECT costs.a FROM `acme1281_raw_openai`.`costs`",
    "SELECT raw_openai.costs.a FROM raw_openai.costs": "SELECT costs.a FROM `acme1281_raw_openai`.`costs`",
    "WITH x AS (SELECT a FROM raw_openai.costs) SELECT a FROM x": (
        "WITH x AS (SELECT a FROM `acme1281_raw_openai`.`costs`) SELECT a FROM x"
    ),
    "WITH costs AS (SELECT a FROM raw_openai.costs) SELECT a FROM costs": (
        "WITH costs AS (SELECT a FROM `acme1281_raw_openai`.`costs`) SELECT a FROM costs"
    ),
    "SELECT 'raw_openai.costs' AS a /* raw_openai.costs */": "SELECT 'raw_openai.costs' AS a",
}


@pytest.mark.parametrize(("text", "expected"), REWRITTEN.items())
def test_tables_become_the_tenants(text: str, expected: str) -> None:
    assert bound(text) == expected


def test_values_stay_values() -> None:
    query = bind(parse_transform("SELECT @run_date AS d", file="x.sql"), "acme1281", {"run_date": DAY})
    assert query.sql == "SELECT @run_date AS d"
    assert dict(query.parameters) == {"run_date": DAY}


def test_every_wrong_parameter_is_named_at_once() -> None:
    query = parse_transform("SELECT @run_date AS d, @tenant AS t, @pipeline AS p", file="x.sql")
    with pytest.raises(ConfigError) as caught:
        bind(
            query,
            "acme1281",
            {"tenant": (FieldType.STRING, 5), "pipeline": (FieldType.STRING, "p"), "more": DAY},
        )
    reasons = [p.reason for p in caught.value.problems]
    assert reasons == [
        "@run_date is used but not given",
        "@more is given but not used",
        "@tenant must be STRING, not int",
    ]


NOW = datetime(2026, 1, 31, tzinfo=UTC)
FITTING: list[tuple[FieldType, Any, bool]] = [
    (FieldType.DATE, date(2026, 1, 1), True),
    (FieldType.DATE, NOW, False),
    (FieldType.DATE, "2026-01-01", False),
    (FieldType.TIMESTAMP, NOW, True),
    (FieldType.TIMESTAMP, NOW.replace(tzinfo=None), False),
    (FieldType.DATETIME, NOW.replace(tzinfo=None), True),
    (FieldType.DATETIME, NOW, False),
    (FieldType.INT64, 1, True),
    (FieldType.INT64, True, False),
    (FieldType.INT64, 1.0, False),
    (FieldType.BOOL, True, True),
    (FieldType.BOOL, 1, False),
    (FieldType.BIGNUMERIC, Decimal("1.5"), True),
    (FieldType.BIGNUMERIC, 1.5, False),
    (FieldType.FLOAT64, 1.5, True),
    (FieldType.STRING, None, True),
    (FieldType.STRING, ("a", "b"), True),
    (FieldType.STRING, ("a", 1), False),
    (FieldType.STRUCT, "x", False),
]


@pytest.mark.parametrize(("kind", "value", "fits"), FITTING, ids=[f"{k}-{v!r}" for k, v, _ in FITTING])
def test_a_value_must_be_of_its_type(kind: FieldType, value: Any, fits: bool) -> None:
    if fits:
        assert bind_query("SELECT @v AS v", "acme1281", {"v": (kind, value)}).parameters["v"] == (kind, value)
    else:
        with pytest.raises(ConfigError, match="@v must be"):
            bind_query("SELECT @v AS v", "acme1281", {"v": (kind, value)})


def test_the_platforms_own_queries_may_read_shared_datasets() -> None:
    assert bind_query("SELECT a FROM organizations.t", "acme1281").sql == "SELECT a FROM `organizations`.`t`"


def test_the_platforms_own_queries_may_be_trees() -> None:
    tree = exp.select("a").from_(exp.table_("costs__stage_t1", db="raw_openai"))
    assert bind_query(tree, "acme1281").sql == "SELECT a FROM `acme1281_raw_openai`.`costs__stage_t1`"
    assert tree.sql() == "SELECT a FROM raw_openai.costs__stage_t1"


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE raw_openai.costs",
        "SELECT a FROM costs",
        "SELECT a FROM p.raw_openai.costs",
        "SELECT 1; SELECT 2",
    ],
)
def test_the_platforms_own_queries_keep_the_rules(text: str) -> None:
    with pytest.raises(ConfigError):
        bind_query(text, "acme1281")


@pytest.mark.parametrize(
    "tenant", ["", "A", "ac", "acme-eu", "acme.eu", "1acme", "acme`", "acme_raw", "raw_x", "acme_metadata"]
)
def test_a_tenant_id_that_is_none_is_refused(tenant: str) -> None:
    with pytest.raises(ConfigError):
        bound("SELECT a FROM raw_openai.costs", tenant)


# --- Properties -----------------------------------------------------------------------------------------------------

tenants = st.from_regex(r"[a-z][a-z0-9_]{2,12}", fullmatch=True).filter(valid_tenant)
datasets = st.one_of(
    st.just("metadata"),
    st.builds(
        "{}_{}".format,
        st.sampled_from(["raw", "silver", "gold"]),
        st.from_regex(r"[a-z0-9_]{1,12}", fullmatch=True),
    ),
)
table_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
# ruff: noqa: E501 - one query a line
SHAPES = [
    "SELECT a FROM {0}",
    "SELECT x.a FROM {0} AS x JOIN {1} AS y ON x.a = y.a",
    "WITH c AS (SELECT a FROM {0}), d AS (SELECT a FROM c, UNNEST([1]) AS n) SELECT a FROM d WHERE a IN (SELECT a FROM {1})",
    "SELECT (SELECT MAX(a) FROM {0}) AS m UNION ALL SELECT a FROM (SELECT a FROM {1} QUALIFY ROW_NUMBER() OVER (ORDER BY a) = 1)",
    "SELECT a FROM {0} AS x WHERE EXISTS (SELECT 1 FROM {1} AS y WHERE y.a = x.a AND y.a NOT IN (SELECT a FROM {0}))",
    "SELECT * FROM {0} EXCEPT DISTINCT (SELECT * FROM {1})",
]  # fmt: skip


@settings(deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    tenant=tenants,
    first=st.tuples(datasets, table_names),
    second=st.tuples(datasets, table_names),
    quoted=st.booleans(),
)
def test_no_logical_table_stays_unprefixed(
    shape: str, tenant: str, first: tuple[str, str], second: tuple[str, str], quoted: bool
) -> None:
    written = ["`{}`.`{}`".format(*t) for t in (first, second)]
    query = bind_query(shape.format(*written), tenant)
    ctes = {"c", "d"}
    tables = list(sqlglot.parse_one(query.sql, dialect="bigquery").find_all(exp.Table))
    named = {(t.db, t.name) for t in tables if t.db}
    used = (first, second) if "{1}" in shape else (first,)
    assert named == {(f"{tenant}_{dataset}", table) for dataset, table in used}
    assert {t.name for t in tables if not t.db} <= ctes


@settings(deadline=None)
@given(one=tenants, other=tenants, dataset=datasets)
def test_no_tenants_sql_names_another_tenants_dataset(one: str, other: str, dataset: str) -> None:
    own = physical_dataset(one, dataset)
    assert tenant_of(own) == one
    if one != other:
        assert own not in {physical_dataset(other, d) for d in (dataset, "metadata", "raw_openai")}
        assert tenant_of(own) != other


@given(st.text("abcdefgh_rawsilvergoldmetadata0123456789", max_size=40))
def test_a_dataset_belongs_to_one_tenant_or_to_none(name: str) -> None:
    owner = tenant_of(name)
    if owner is not None:
        assert physical_dataset(owner, name.removeprefix(f"{owner}_")) == name
