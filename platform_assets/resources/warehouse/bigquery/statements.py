"""The SQL this adapter writes, as text: publishing, and what must be known before it. No connection here.

Values travel as query parameters. Only what BigQuery prunes partitions by is written as a literal: a parameter or
a subquery in its place would read the whole table. Names are checked and quoted.
"""

# ruff: noqa: S608 - this module is where SQL is written; names pass quoted(), values are parameters or literals

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from platform_assets.engine.errors import ConfigError, RejectedError
from platform_assets.engine.names import IDENTIFIER_PATTERN
from platform_assets.engine.schema.arrow import BIGNUMERIC_SCALE
from platform_assets.engine.schema.model import (
    Field,
    FieldType,
    Granularity,
    Mode,
    Partitioning,
    Scalar,
    TableSchema,
    TableSpec,
)
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import SliceWrite

Parameters = Mapping[str, tuple[FieldType, Scalar]]
# A load or DML job may touch so many partitions. Source: cloud.google.com/bigquery/quotas.
MAX_PARTITIONS = 4000


@dataclass(frozen=True)
class Staged:
    """What a look at the staged rows found. ``partitions``: values of the partition column, sorted, without NULL;
    ``null_partition``: some row has none."""

    rows: int
    partitions: tuple[date, ...] = ()
    null_partition: bool = False


def quoted(name: str) -> str:
    """A column or table name in backticks; anything but an identifier is refused."""
    if not IDENTIFIER_PATTERN.fullmatch(name):
        raise ConfigError(f"{name!r} is not a name of a column, table or dataset")
    return f"`{name}`"


def quoted_all(names: Iterable[str], prefix: str = "") -> str:
    return ", ".join(f"{prefix}{quoted(name)}" for name in names)


def column_type(column: Field) -> str:
    """GoogleSQL type of a column, for DDL."""
    one = column.type.value
    if column.type is FieldType.STRUCT:
        one = f"STRUCT<{', '.join(f'{quoted(f.name)} {column_type(f)}' for f in column.fields)}>"
    return f"ARRAY<{one}>" if column.mode is Mode.REPEATED else one


def literal(kind: FieldType, value: Scalar) -> str:
    """A constant of a partition column's type."""
    if kind is FieldType.DATE and isinstance(value, date):
        day = value.date() if isinstance(value, datetime) else value
        return f"DATE '{day.isoformat()}'"
    if kind in (FieldType.TIMESTAMP, FieldType.DATETIME) and isinstance(value, date):
        return f"{kind} '{_moment(value, kind)}'"
    raise RejectedError(f"{value!r} is not a value of a partition column of type {kind}")


def _moment(value: date, kind: FieldType) -> str:
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    if kind is FieldType.DATETIME:
        return moment.replace(tzinfo=None).isoformat(sep=" ")
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(sep=" ")


# --- Replace ----------------------------------------------------------------------------------------------------


def replace_slice(target: str, staging: str, write: SliceWrite) -> BoundSql:
    """One script, one transaction: nothing outside the slice is touched, and nothing of the old slice is left.

    Its result is one row: rows deleted, rows inserted. Staged rows outside the slice stop it, because a repeat
    would not delete them again.
    """
    predicate, parameters = slice_predicate(write)
    columns = quoted_all(write.target.schema.names)
    sql = f"""\
DECLARE deleted, inserted INT64 DEFAULT 0;
ASSERT NOT EXISTS (SELECT 1 FROM {staging} WHERE NOT IFNULL({predicate}, FALSE))
  AS 'staged rows lie outside the slice';
BEGIN TRANSACTION;
DELETE FROM {target} WHERE {predicate};
SET deleted = @@row_count;
INSERT INTO {target} ({columns}) SELECT {columns} FROM {staging};
SET inserted = @@row_count;
COMMIT TRANSACTION;
SELECT deleted, inserted"""
    return BoundSql(sql, parameters)


def slice_predicate(write: SliceWrite) -> tuple[str, Parameters]:
    """All equalities of the slice. RejectedError where a partitioned table's partition column is not among them:
    the DELETE would read every partition, or be refused."""
    spec, equals = write.target, write.slice.equals
    if not equals:
        raise RejectedError(
            f"{spec.name}: a slice names at least one column; this one would replace the whole table"
        )
    partition = spec.partitioning.column.lower() if spec.partitioning else None
    if partition and partition not in {name.lower() for name, _ in equals}:
        raise RejectedError(
            f"{spec.name}: the slice ({write.slice}) does not name partition column {partition}"
        )
    terms, parameters = [], {}
    for number, (name, value) in enumerate(equals):
        kind = _kind(spec, name)
        if value is None:
            terms.append(f"{quoted(name)} IS NULL")
        elif name.lower() == partition:
            terms.append(f"{quoted(name)} = {literal(kind, value)}")
        else:
            terms.append(f"{quoted(name)} = @slice_{number}")
            parameters[f"slice_{number}"] = (kind, value)
    return " AND ".join(terms), parameters


def _kind(spec: TableSpec, name: str) -> FieldType:
    column = spec.schema.get(name)
    if column is None:
        raise RejectedError(f"{spec.name} has no column {name}; its columns: {', '.join(spec.schema.names)}")
    return column.type


# --- Merge and append -------------------------------------------------------------------------------------------


def look_at_staged(staging: str, spec: TableSpec, keys: Sequence[str]) -> BoundSql:
    """One row: row_count, null_keys, duplicate_keys, and of a partitioned table partitions, null_partition."""
    by = quoted_all(keys)
    any_null = " OR ".join(f"{quoted(key)} IS NULL" for key in keys)
    partition = f", ARRAY_AGG(DISTINCT {_unit(spec)} IGNORE NULLS) AS partitions" if spec.partitioning else ""
    null = (
        f", COUNTIF({quoted(spec.partitioning.column)} IS NULL) AS null_partition"
        if spec.partitioning
        else ""
    )
    return BoundSql(
        f"SELECT COUNT(*) AS row_count, COUNTIF({any_null}) AS null_keys, "
        f"(SELECT COUNT(*) FROM (SELECT {by} FROM {staging} GROUP BY {by} HAVING COUNT(*) > 1)) "
        f"AS duplicate_keys{partition}{null} FROM {staging}"
    )


def look_for_keys(target: str, staging: str, spec: TableSpec, keys: Sequence[str]) -> BoundSql:
    """Partitions of the target that hold one of the staged keys, as rows of one column, NULL among them.

    Needed only where the keys do not contain the partition column: the row to update may lie on another day. The
    always-true filter tells a table that requires one that reading all partitions is meant.
    """
    assert spec.partitioning is not None, "asked only for partitioned tables"
    column = quoted(spec.partitioning.column)
    on = " AND ".join(f"t.{quoted(key)} = s.{quoted(key)}" for key in keys)
    return BoundSql(
        f"SELECT DISTINCT {_unit(spec, 't.')} AS part FROM {target} AS t "
        f"JOIN (SELECT DISTINCT {quoted_all(keys)} FROM {staging}) AS s ON {on} "
        f"WHERE t.{column} IS NULL OR t.{column} IS NOT NULL"
    )


def _unit(spec: TableSpec, prefix: str = "") -> str:
    """The partition column; moments cut to their partition, so that there are few values."""
    assert spec.partitioning is not None, "asked only for partitioned tables"
    column, kind = spec.partitioning.column, _kind(spec, spec.partitioning.column)
    if kind is FieldType.DATE:
        return f"{prefix}{quoted(column)}"
    return f"{kind}_TRUNC({prefix}{quoted(column)}, {spec.partitioning.granularity})"


def merge_rows(target: str, staging: str, write: SliceWrite, staged: Staged) -> BoundSql:
    """``merge`` updates rows whose keys are there (with ``newest_by``, older ones) and inserts the others; ``append``
    only inserts."""
    spec, keys = write.target, {key.lower() for key in write.keys}
    columns = spec.schema.names
    on = [f"t.{quoted(key)} = s.{quoted(key)}" for key in write.keys]
    if spec.partitioning:
        on.append(f"({partition_predicate(spec, spec.partitioning, staged)})")
    updates = [f"{quoted(c)} = s.{quoted(c)}" for c in columns if c.lower() not in keys]
    matched = (
        f"\nWHEN MATCHED{_if_newer(write.newest_by)} THEN UPDATE SET {', '.join(updates)}"
        if write.mode == "merge" and updates
        else ""
    )
    sql = f"""\
MERGE INTO {target} AS t
USING (SELECT {quoted_all(columns)} FROM {staging}) AS s
ON {" AND ".join(on)}{matched}
WHEN NOT MATCHED THEN INSERT ({quoted_all(columns)}) VALUES ({quoted_all(columns, "s.")})"""
    return BoundSql(sql)


def _if_newer(columns: Sequence[str]) -> str:
    """BigQuery compares no tuples: greater in the first column, or equal there and greater in the next, and so on."""
    cases = [
        " AND ".join(
            [*(f"s.{quoted(c)} = t.{quoted(c)}" for c in columns[:n]), f"s.{quoted(last)} > t.{quoted(last)}"]
        )
        for n, last in enumerate(columns)
    ]
    return f" AND ({' OR '.join(f'({case})' for case in cases)})" if cases else ""


def partition_predicate(spec: TableSpec, partitioning: Partitioning, staged: Staged) -> str:
    """Literal partitions of ``t`` that the merge may touch. Dates are listed; moments become one range."""
    column, kind = f"t.{quoted(partitioning.column)}", _kind(spec, partitioning.column)
    terms = [f"{column} IS NULL"] if staged.null_partition else []
    if staged.partitions and kind is FieldType.DATE:
        terms.append(f"{column} IN ({', '.join(literal(kind, day) for day in staged.partitions)})")
    elif staged.partitions:
        first, last = literal(kind, staged.partitions[0]), literal(kind, staged.partitions[-1])
        end = f"{kind}_ADD({last}, INTERVAL {_interval(partitioning.granularity)})"
        terms.append(f"{column} >= {first} AND {column} < {end}")
    return " OR ".join(terms) or f"{column} IS NULL"


def _interval(granularity: Granularity) -> str:
    # TIMESTAMP_ADD knows no months; 31 days reach past the end of every one.
    return {"HOUR": "1 HOUR", "DAY": "1 DAY", "MONTH": "31 DAY"}[granularity.value]


# --- What was wrong -------------------------------------------------------------------------------------------------


def count_troubles(staging: str, required: Sequence[str], outside: tuple[str, Parameters] | None) -> BoundSql:
    """One row: ``null_<n>`` for the n-th REQUIRED column, ``outside`` for rows that are not in the slice."""
    counts = [f"COUNTIF({quoted(name)} IS NULL) AS null_{n}" for n, name in enumerate(required)]
    if outside:
        counts.append(f"COUNTIF(NOT IFNULL({outside[0]}, FALSE)) AS outside")
    return BoundSql(f"SELECT {', '.join(counts)} FROM {staging}", outside[1] if outside else {})


def some_outside(
    staging: str, columns: Sequence[str], outside: tuple[str, Parameters], limit: int
) -> BoundSql:
    listed = quoted_all(columns)
    return BoundSql(
        f"SELECT DISTINCT {listed} FROM {staging} WHERE NOT IFNULL({outside[0]}, FALSE) "
        f"ORDER BY {listed} LIMIT {limit}",
        outside[1],
    )


def some_duplicates(staging: str, keys: Sequence[str], limit: int) -> BoundSql:
    listed = quoted_all(keys)
    return BoundSql(
        f"SELECT {listed}, COUNT(*) AS times FROM {staging} GROUP BY {listed} HAVING COUNT(*) > 1 "
        f"ORDER BY {listed} LIMIT {limit}"
    )


# --- Insert from a query --------------------------------------------------------------------------------------------


# Given → what BigQuery takes it for by itself. Source: GoogleSQL conversion rules, "coercion".
_COERCED: Mapping[FieldType, frozenset[FieldType]] = {
    FieldType.INT64: frozenset({FieldType.NUMERIC, FieldType.BIGNUMERIC, FieldType.FLOAT64}),
    FieldType.NUMERIC: frozenset({FieldType.BIGNUMERIC, FieldType.FLOAT64}),
    FieldType.BIGNUMERIC: frozenset({FieldType.FLOAT64}),
    FieldType.DATE: frozenset({FieldType.DATETIME}),
}


def insert_query(
    table: str,
    given: TableSchema,
    wanted: TableSchema,
    query: BoundSql,
    digits_of_floats: int | None = None,
) -> BoundSql:
    """Rows of a query, by column name. RejectedError names every column that the table does not have or whose type
    does not fit; a NUMERIC that would lose digits stops the statement. BIGNUMERIC, which products and quotients give
    up to 38 digits after the point, is rounded to 18 as DuckDB computes them: half away from zero.
    ``digits_of_floats``: FLOAT64 becomes a decimal, rounded to so many digits after the point.

    The line ends keep a trailing comment of the query to itself.
    """
    rounded = digits_of_floats is not None
    problems = [reason for f in given.fields if (reason := _misfit(f, wanted.get(f.name), rounded))]
    if problems:
        raise RejectedError(f"{table} cannot take these rows: {'; '.join(problems)}")
    pairs = [(f, column) for f in given.fields if (column := wanted.get(f.name))]
    values = ", ".join(_assigned(f, column, digits_of_floats) for f, column in pairs)
    columns = quoted_all(column.name for _, column in pairs)
    return BoundSql(
        f"INSERT INTO {table} ({columns}) SELECT {values} FROM (\n{query.sql}\n)", query.parameters
    )


def _misfit(given: Field, wanted: Field | None, rounded: bool) -> str | None:
    if wanted is None:
        return f"column {given.name} does not exist in the table"
    if _is_untyped(given) or _fits(given, wanted) or _is_checked(given, wanted):
        return None
    if rounded and _is_rounded(given, wanted):
        return None
    return f"column {given.name} is {column_type(wanted)}, the rows give {column_type(given)}"


def _fits(given: Field, wanted: Field) -> bool:
    if column_type(given) == column_type(wanted):
        return True
    single = Mode.REPEATED not in (given.mode, wanted.mode)
    return single and wanted.type in _COERCED.get(given.type, frozenset())


def _is_checked(given: Field, wanted: Field) -> bool:
    """BigQuery shortens no decimal by itself; here it is done where no digit is lost."""
    single = Mode.REPEATED not in (given.mode, wanted.mode)
    return single and (given.type, wanted.type) == (FieldType.BIGNUMERIC, FieldType.NUMERIC)


def _is_rounded(given: Field, wanted: Field) -> bool:
    single = Mode.REPEATED not in (given.mode, wanted.mode)
    return (
        single
        and given.type is FieldType.FLOAT64
        and wanted.type in (FieldType.NUMERIC, FieldType.BIGNUMERIC)
    )


def _is_untyped(given: Field) -> bool:
    """A bare NULL has type INT64 in GoogleSQL; only values of it can be wrong, and they are looked at."""
    return given.type is FieldType.INT64 and given.mode is not Mode.REPEATED


def _assigned(given: Field, wanted: Field, digits: int | None) -> str:
    name, kind = quoted(given.name), column_type(wanted)
    if given.type is wanted.type is FieldType.BIGNUMERIC and given.mode is not Mode.REPEATED:
        return f"ROUND({name}, {BIGNUMERIC_SCALE})"
    if _fits(given, wanted):
        return name
    if digits is not None and _is_rounded(given, wanted):
        return f"ROUND(CAST({name} AS {kind}), {digits})"
    if _is_checked(given, wanted):
        same = f"CAST(SAFE_CAST({name} AS {kind}) AS BIGNUMERIC) = {name}"
        words = f"column {given.name} is {kind} and would change a value"
        return f"IF({name} IS NULL OR {same}, SAFE_CAST({name} AS {kind}), ERROR('{words}'))"
    words = f"column {given.name} is {kind.replace('`', '')} and would change a value: the rows give INT64"
    return f"IF({name} IS NULL, CAST(NULL AS {kind}), ERROR('{words}'))"


def require_query(query: BoundSql) -> None:
    """RejectedError unless the text is one query: what reads must not be able to write."""
    from sqlglot import TokenType, tokenize
    from sqlglot.errors import TokenError

    try:
        tokens = [token.token_type for token in tokenize(query.sql, read="bigquery")]
    except TokenError as error:
        raise RejectedError(f"not a query: {error}") from error
    while tokens and tokens[-1] is TokenType.SEMICOLON:
        tokens.pop()
    openers = (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN)
    if not tokens or tokens[0] not in openers or TokenType.SEMICOLON in tokens:
        raise RejectedError(f"only one SELECT can be run here, not: {query.sql.strip()[:200]}")
