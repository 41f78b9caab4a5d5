"""Table names come from messages: what is a name of the partner's is resolved, everything else refused."""

import pytest
from sqlglot import exp, parse_one

from platform_assets.engine.cdc.parsing import parse_query
from platform_assets.engine.cdc.queries import Statement, ask, bound
from platform_assets.engine.cdc.tables import DataScope, SourceTable, scope_of
from platform_assets.engine.errors import DataError

SCOPE = DataScope("data-project", ("tmp_abertta", "abertta"))


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("claims_1", SourceTable("data-project", "tmp_abertta", "claims_1")),
        ("abertta.claims-1", SourceTable("data-project", "abertta", "claims-1")),
        ("data-project.tmp_abertta.claims", SourceTable("data-project", "tmp_abertta", "claims")),
    ],
)
def test_names_of_one_two_and_three_parts(name: str, table: SourceTable) -> None:
    assert SCOPE.resolve(name, "v") == table


HOSTILE = [
    "tmp_athena.claims",
    "other-project.tmp_abertta.claims",
    "a.b.c.d",
    "",
    ".",
    "tmp_abertta.",
    ".claims",
    "tmp_abertta..claims",
    "tmp_abertta.claims; DROP TABLE x",
    "tmp_abertta.claims UNION ALL SELECT 1",
    "tmp_abertta.claims` UNION ALL SELECT * FROM `tmp_athena.claims",
    "`tmp_abertta`.`claims`",
    '"tmp_abertta"."claims"',
    "(SELECT 1)",
    "tmp_abertta.claims -- ",
    "tmp_abertta.claims/*",
    "tmp_abertta.claims*",
    "tmp_abertta.claims$20250101",
    "tmp_abertta.INFORMATION_SCHEMA.TABLES",
    "tmp_abertta.INFORMATION_SCHEMA",
    "tmp_abertta.__TABLES__",
    "INFORMATION_SCHEMA.TABLES",
    "tmp_abertta.claims\n",
    "tmp_abertta.claims\x00",
    "tmp_abertta.ｃlaims",
    "tmp_abertta.claims@someone.example.com",
    "read_csv('/etc/passwd')",
    "tmp_abertta." + "x" * 2000,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_everything_else_is_refused_and_names_its_variable(name: str) -> None:
    with pytest.raises(DataError, match="variable 'the_table'") as raised:
        SCOPE.resolve(name, "the_table")
    assert "someone" not in str(raised.value)


def test_a_partner_without_datasets_reads_nothing() -> None:
    with pytest.raises(DataError, match="has none"):
        DataScope("p", ()).resolve("claims", "v")


def test_scopes_come_of_patterns_and_of_the_tenants_own() -> None:
    scope = scope_of("p", ("tmp_{partner}", "{partner}", "shared"), ("acme", "Acme S.A."), ("extra",))
    assert scope.datasets == ("tmp_acme", "acme", "shared", "extra")  # no dataset has a blank in its name


@pytest.mark.parametrize("word", ["select", "from", "claims-x", "1claims", "union"])
def test_names_that_are_words_of_sql_stay_names(word: str) -> None:
    query = parse_query("SELECT SUM(vl_pago) AS total FROM source.claims", "q", ())
    asked = ask(query, {"claims": SCOPE.resolve(word, "v")}, {})
    sql = bound(Statement((asked,))).sql
    (table,) = parse_one(sql, dialect="bigquery").find_all(exp.Table)
    assert (table.catalog, table.db, table.name) == ("data-project", "tmp_abertta", word)
