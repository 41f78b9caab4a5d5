"""Other systems' tables in DuckDB files."""

import duckdb
import pytest

from platform_assets.engine.errors import ConfigError, DataError, NotFoundError
from platform_assets.engine.sql.model import BoundSql
from platform_assets.resources.query_sources.duckdb import DuckDBSources, DuckDBSourcesSettings


@pytest.fixture
def source(tmp_path):
    with duckdb.connect(str(tmp_path / "proj.duckdb")) as connection:
        connection.execute("CREATE SCHEMA d")
        for name, value in (("a_1", 1), ("a_2", 2), ("b_1", 4)):
            connection.execute(f"CREATE TABLE d.{name} AS SELECT {value} AS x")
    return DuckDBSources(DuckDBSourcesSettings(folder=str(tmp_path))).open({}, None)


def values(source, sql):
    batches = source.query(BoundSql(sql), maximum_bytes_billed=10**9)
    return sorted(row["x"] for batch in batches for row in batch.to_pylist())


def test_tables_and_wildcards(source):
    assert values(source, "SELECT x FROM `proj`.`d`.`b_1`") == [4]
    assert values(source, "SELECT x FROM `proj`.`d`.`a_*` AS a") == [1, 2]
    assert values(source, "SELECT x FROM `proj`.`d`.`b_*` AS b") == [4]


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELECT x FROM `proj`.`d`.`nothing`", NotFoundError),
        ("SELECT x FROM `proj`.`d`.`nothing_*` AS n", NotFoundError),
        ("SELECT x FROM `other`.`d`.`a_1`", NotFoundError),
        ("SELECT x FROM `d`.`a_1`", ConfigError),
        ("SELECT 1 / (x - 4) AS x FROM `proj`.`d`.`b_1`", DataError),
    ],
)
def test_what_cannot_be_read(source, sql, error):
    with pytest.raises(error):
        values(source, sql)


def test_the_file_is_never_written(source, tmp_path):
    before = (tmp_path / "proj.duckdb").read_bytes()
    values(source, "SELECT x FROM `proj`.`d`.`b_1`")
    assert (tmp_path / "proj.duckdb").read_bytes() == before
