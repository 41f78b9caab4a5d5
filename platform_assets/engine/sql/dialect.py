"""BigQuery's SQL in DuckDB: the same text, the same meaning, or an error at load time.

Owns the translation and ``DUCKDB_MACROS``, the functions that a DuckDB connection must define to run it.
sqlglot does the grammar. Where it keeps the words but not the meaning, the tree is rewritten first. Where neither
can keep the meaning, it is a problem with its line: a function without a known twin is never passed through.

Exactness: NUMERIC is DECIMAL(38, 9), BIGNUMERIC is DECIMAL(38, 18) (BigQuery keeps 76 digits, 38 after the point).
Sums and differences are exact; a result of 10^20 or more is an error, never a wrapped or rounded number. Products
and quotients of decimals are exact to 18 digits after the point, the last one rounded half away from zero; they
never pass through floating point. INT64 arithmetic that leaves 64 bits is an error, as in BigQuery.
Different on purpose: an array index out of bounds is NULL instead of an error, and a decimal literal such as 1.5
is a decimal, not FLOAT64.

The session must be in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

from sqlglot import ErrorLevel, exp, parse_one
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import UnsupportedError

from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.functions import DUCKDB_FUNCTIONS
from platform_assets.engine.sql.statement import SqlProblem, parse_query

# Each macro dispatches on the types that only DuckDB knows when it binds the query.
DUCKDB_MACROS: tuple[str, ...] = (
    # Two halves of each factor keep every partial product inside 38 digits.
    """CREATE OR REPLACE MACRO bq_multiply
      (a BIGINT, b BIGINT) AS a * b,
      (a HUGEINT, b HUGEINT) AS a * b,
      (a DOUBLE, b DOUBLE) AS a * b,
      (a DECIMAL(38, 18), b DECIMAL(38, 18)) AS list_transform(
        [{'a': a, 'b': b, 'i': CAST(trunc(a) AS DECIMAL(20, 0)), 'j': CAST(trunc(b) AS DECIMAL(20, 0))}],
        lambda s: CAST(s['i'] * s['j'] AS DECIMAL(38, 18))
          + s['i'] * CAST(s['b'] - s['j'] AS DECIMAL(18, 18)) + CAST(s['a'] - s['i'] AS DECIMAL(18, 18)) * s['j']
          + CAST(CAST(s['a'] - s['i'] AS DECIMAL(18, 18)) * CAST(s['b'] - s['j'] AS DECIMAL(18, 18))
              AS DECIMAL(38, 18)))[1],
      (a, b) AS a * b""",
    # Long division on unscaled integers, nine digits a step; the last remainder decides the rounding.
    """CREATE OR REPLACE MACRO bq_unscaled(x) AS
      CAST(CAST(trunc(x) AS DECIMAL(20, 0)) AS HUGEINT) * 1000000000000000000::HUGEINT
      + CAST(CAST(x - trunc(x) AS DECIMAL(18, 18)) * 1000000000000000000::DECIMAL(19, 0) AS HUGEINT)""",
    """CREATE OR REPLACE MACRO bq_scaled(x) AS
      CAST(x // 1000000000000000000::HUGEINT AS DECIMAL(38, 18))
      + CAST(CAST(x % 1000000000000000000::HUGEINT AS DECIMAL(18, 0)) * 0.000000000000000001::DECIMAL(18, 18)
          AS DECIMAL(38, 18))""",
    """CREATE OR REPLACE MACRO bq_long_division(a, b) AS list_transform(
      list_transform(
        list_transform([{'n': abs(bq_unscaled(a)), 'd': abs(bq_unscaled(b)), 's': sign(a) * sign(b)}],
          lambda v: {'q': v['n'] // v['d'], 'r': (v['n'] % v['d']) * 1000000000::HUGEINT, 'd': v['d'], 's': v['s']}),
        lambda v: {'q': v['q'] * 1000000000::HUGEINT + v['r'] // v['d'], 'r': (v['r'] % v['d']) * 1000000000::HUGEINT,
                   'd': v['d'], 's': v['s']}),
      lambda v: bq_scaled(CAST(v['s'] AS HUGEINT) * (v['q'] * 1000000000::HUGEINT + v['r'] // v['d']
        + CASE WHEN v['r'] % v['d'] >= v['d'] - v['r'] % v['d'] THEN 1 ELSE 0 END)))[1]""",
    # 1 // 0 fails where / would give infinity; error() would too, but DuckDB lets no alias refer to it.
    """CREATE OR REPLACE MACRO bq_divide
      (a BIGINT, b BIGINT) AS a / b * (1 // CAST(b <> 0 AS INTEGER)),
      (a DOUBLE, b DOUBLE) AS a / b * (1 // CAST(b <> 0 AS INTEGER)),
      (a DECIMAL(38, 18), b DECIMAL(38, 18)) AS bq_long_division(a, b)""",
    """CREATE OR REPLACE MACRO bq_safe_divide
      (a BIGINT, b BIGINT) AS CASE WHEN b <> 0 THEN a / b END,
      (a DOUBLE, b DOUBLE) AS CASE WHEN b <> 0 THEN a / b END,
      (a DECIMAL(38, 18), b DECIMAL(38, 18)) AS TRY(CASE WHEN b <> 0 THEN bq_long_division(a, b) END)""",
    """CREATE OR REPLACE MACRO bq_ieee_divide(a, b) AS
      CASE WHEN CAST(b AS DOUBLE) <> 0 THEN CAST(a AS DOUBLE) / CAST(b AS DOUBLE)
        WHEN CAST(a AS DOUBLE) > 0 THEN 'inf'::DOUBLE WHEN CAST(a AS DOUBLE) < 0 THEN '-inf'::DOUBLE
        WHEN a IS NOT NULL AND b IS NOT NULL THEN 'nan'::DOUBLE END""",
    """CREATE OR REPLACE MACRO bq_text
      (x BIGINT) AS CAST(x AS VARCHAR),
      (x DOUBLE) AS regexp_replace(CAST(x AS VARCHAR), '\\.0$', ''),
      (x DECIMAL(38, 18)) AS rtrim(rtrim(CAST(x AS VARCHAR), '0'), '.'),
      (x) AS CAST(x AS VARCHAR)""",
    """CREATE OR REPLACE MACRO bq_byte_length
      (x VARCHAR) AS strlen(x), (x BLOB) AS octet_length(x)""",
    """CREATE OR REPLACE MACRO bq_int64
      (x DOUBLE) AS CAST(round(x) AS BIGINT), (x) AS CAST(x AS BIGINT)""",
    """CREATE OR REPLACE MACRO bq_trunc
      (part VARCHAR, x DATE) AS CAST(date_trunc(part, x) AS DATE),
      (part VARCHAR, x TIMESTAMP) AS date_trunc(part, x),
      (part VARCHAR, x TIMESTAMPTZ) AS date_trunc(part, x)""",
    """CREATE OR REPLACE MACRO bq_trunc_week
      (x DATE, days BIGINT) AS CAST(date_trunc('week', x + to_days(days)) - to_days(days) AS DATE),
      (x TIMESTAMP, days BIGINT) AS date_trunc('week', x + to_days(days)) - to_days(days),
      (x TIMESTAMPTZ, days BIGINT) AS date_trunc('week', x + to_days(days)) - to_days(days)""",
)


DUCKDB_TYPES: Mapping[FieldType, str] = {
    FieldType.STRING: "VARCHAR",
    FieldType.BYTES: "BLOB",
    FieldType.INT64: "BIGINT",
    FieldType.FLOAT64: "DOUBLE",
    FieldType.NUMERIC: "DECIMAL(38,9)",
    FieldType.BIGNUMERIC: "DECIMAL(38,18)",
    FieldType.BOOL: "BOOLEAN",
    FieldType.DATE: "DATE",
    FieldType.DATETIME: "TIMESTAMP",
    FieldType.TIME: "TIME",
    FieldType.TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
    FieldType.JSON: "JSON",
}


@lru_cache(maxsize=4096)
def to_duckdb(sql: str, types: tuple[tuple[str, str], ...] = ()) -> str:
    """One BigQuery query as DuckDB SQL: ``@name`` becomes ``$name``, table names stay. ``types`` gives parameters
    their DuckDB types, which DuckDB would otherwise guess from each value (1.5 would be DECIMAL(2, 1)).

    Raises ConfigError where the meaning cannot be kept. Needs ``DUCKDB_MACROS`` and a session in UTC to run.
    """
    tree, problems = parse_query(sql)
    text = ""
    if not problems:
        problems, text = _translate(tree, dict(types))
    if problems:
        found = tuple(Problem("query", p.line, "", p.reason, p.nearest) for p in problems)
        raise ConfigError("the query cannot run on DuckDB", found)
    return text


@lru_cache(maxsize=1024)
def change_to_duckdb(sql: str, types: tuple[tuple[str, str], ...] = ()) -> str:
    """``to_duckdb`` for one INSERT, UPDATE, DELETE or MERGE that ``script`` has checked."""
    problems, text = _translate(parse_one(sql, dialect="bigquery"), dict(types))
    if problems:
        found = tuple(Problem("change", p.line, "", p.reason, p.nearest) for p in problems)
        raise ConfigError("the change cannot run on DuckDB", found)
    return text


def duckdb_problems(tree: exp.Expr) -> list[SqlProblem]:
    """Why a BigQuery tree cannot run on DuckDB with the same meaning; empty if it can."""
    return _translate(tree)[0]


def _translate(
    tree: exp.Expr, types: Mapping[str, str] = MappingProxyType({})
) -> tuple[list[SqlProblem], str]:
    problems = list(_meaning_problems(tree))
    if problems:
        return problems, ""
    try:
        text = _generate(_typed(rewrite(tree.copy()), types))
    except UnsupportedError as error:
        return [SqlProblem(_line(tree), f"no form in DuckDB: {error}")], ""
    unknown = sorted(set(_called(text)) - DUCKDB_FUNCTIONS)
    return [_unknown_function(tree, name) for name in unknown], text


def _generate(tree: exp.Expr) -> str:
    return tree.sql(dialect="duckdb", unsupported_level=ErrorLevel.RAISE, comments=False)


def _typed(tree: exp.Expr, types: Mapping[str, str]) -> exp.Expr:
    for parameter in list(tree.find_all(exp.Parameter)):
        if parameter.name in types:
            to = _duckdb_type(types[parameter.name]).copy()
            parameter.replace(exp.Cast(this=parameter.copy(), to=to))
    return tree


@lru_cache(maxsize=64)
def _duckdb_type(text: str) -> exp.DataType:
    return exp.DataType.build(text, dialect="duckdb")


def _called(text: str) -> Iterator[str]:
    """Names written directly before a bracket: functions, and types with arguments."""
    tokens = DuckDB().tokenize(text)
    for before, token in pairwise(tokens):
        # sqlglot writes functions as NAME( and keywords as IN (, which tells them apart.
        called = token.text == "(" and token.start == before.end + 1
        if called and re.fullmatch(r"[A-Za-z]\w*", before.text):
            yield before.text.upper()


def _unknown_function(tree: exp.Expr, name: str) -> SqlProblem:
    node = next((n for n in tree.find_all(exp.Func) if _function_name(n) == name), tree)
    return SqlProblem(_line(node), f"function {name} has no twin in DuckDB")


def _function_name(node: exp.Func) -> str:
    return (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).upper()


def _line(node: exp.Expr) -> int:
    lines = (int(n.meta["line"]) for n in node.walk() if "line" in n.meta)
    return next(lines, 1)


# --- What cannot keep its meaning ------------------------------------------------------------------------------------

_WEEK_DAYS = ("SUNDAY", "SATURDAY", "FRIDAY", "THURSDAY", "WEDNESDAY", "TUESDAY", "MONDAY")
_TRUNC_UNITS = frozenset({"YEAR", "QUARTER", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND"})
_FORMAT_CODES = frozenset("aAbBdfGHIjmMpSuUVwWyY%")  # f is what sqlglot makes of %E6S
_PLAIN_FORMAT = re.compile(r"(?:[^%]|%%|%[-+ 0]*\d*(?:\.\d+)?[dsfxXeEgGo])*")


def _meaning_problems(tree: exp.Expr) -> Iterator[SqlProblem]:
    for node in tree.walk():
        check = _MEANING.get(type(node))
        reason = check(node) if check else None
        if reason:
            yield SqlProblem(_line(node), reason)


def _anonymous(node: exp.Expr) -> str | None:
    return None if node.name.upper() in _RENAMED else f"function {node.name.upper()} has no twin in DuckDB"


def _cast_format(node: exp.Expr) -> str | None:
    return "CAST with FORMAT has no twin in DuckDB" if node.args.get("format") else None


def _select_kind(node: exp.Expr) -> str | None:
    kind = node.args.get("kind")
    if not kind:
        return None
    stars = any(e.is_star for e in node.expressions)
    outermost = not isinstance(node.parent, exp.Subquery | exp.Array)
    return (
        f"SELECT AS {kind} has a twin in DuckDB only inside a query and without *"
        if stars or outermost
        else None
    )


def _format_codes(node: exp.Expr) -> str | None:
    """Codes that both print alike; ``%e`` and ``%z`` are known to both and differ."""
    text = node.args.get("format")
    if not isinstance(text, exp.Literal):
        return "a date format must be a literal"
    plain = text.name
    if isinstance(node, exp.TimeToStr):
        plain = plain.replace("%E3S", "%S")
    bad = [code for code in re.findall(r"%(-?.)", plain) if code not in _FORMAT_CODES]
    return f"date format %{bad[0]} has no twin in DuckDB" if bad else None


def _printf_format(node: exp.Expr) -> str | None:
    plain = isinstance(node.this, exp.Literal) and _PLAIN_FORMAT.fullmatch(node.this.name)
    return None if plain else "FORMAT: only literal formats with %d %s %f %e %g %x %o are the same in DuckDB"


def _extract_part(node: exp.Expr) -> str | None:
    part = node.this.name.upper()
    bad = part == "WEEK" or not isinstance(node.this, exp.Var)
    return "EXTRACT(WEEK …) counts differently in DuckDB; use ISOWEEK" if bad else None


def _trunc_part(node: exp.Expr) -> str | None:
    part = _unit(node)
    known = part in _TRUNC_UNITS or part == "ISOWEEK" or _week_offset(node) is not None
    return None if known else f"truncating to {part} has no twin in DuckDB"


def _safe_function(node: exp.Expr) -> str | None:
    """DuckDB's TRY turns errors into NULL, but its functions fail on other arguments than BigQuery's."""
    same = (exp.ParseJSON, exp.ParseNumeric, exp.ParseBignumeric)
    return None if isinstance(node.this, same) else f"SAFE.{node.this.sql('bigquery')} has no twin in DuckDB"


def _time_travel(node: exp.Expr) -> str | None:
    return "FOR SYSTEM_TIME AS OF has no twin in DuckDB"


def _session(node: exp.Expr) -> str | None:
    return f"{node.sql('bigquery')} is a matter of the session and has no twin in DuckDB"


_MEANING: Mapping[type[exp.Expr], Callable[[exp.Expr], str | None]] = {
    exp.Version: _time_travel,
    exp.SessionUser: _session,
    exp.CurrentUser: _session,
    exp.CurrentTime: _session,
    exp.CurrentDatetime: _session,
    exp.Anonymous: _anonymous,
    exp.Cast: _cast_format,
    exp.TryCast: _cast_format,
    exp.SafeFunc: _safe_function,
    exp.Select: _select_kind,
    exp.Format: _printf_format,
    exp.TimeToStr: _format_codes,
    exp.StrToTime: _format_codes,
    exp.StrToDate: _format_codes,
    exp.ParseDatetime: _format_codes,
    exp.ParseTime: _format_codes,
    exp.Extract: _extract_part,
    exp.DateTrunc: _trunc_part,
    exp.TimestampTrunc: _trunc_part,
    exp.DatetimeTrunc: _trunc_part,
}

# --- Rewriting: from what sqlglot would keep in words to what keeps the meaning --------------------------------------


def rewrite(tree: exp.Expr) -> exp.Expr:
    """The tree changed in place, innermost nodes first; returns its root."""
    for node in reversed(list(tree.walk())):
        change = _REWRITES.get(type(node))
        if change is None:
            continue
        new = change(node)
        if node is tree:
            tree = new
        elif new is not node:
            node.replace(new)
    return tree


def _call(name: str, *arguments: exp.Expr | None) -> exp.Expr:
    """Call a macro. DuckDB picks the overload before it knows the type of an aggregate; inside a lambda it knows."""
    given = [a.copy() for a in arguments if a is not None]
    if not any(a.find(exp.AggFunc, exp.Window) for a in given):
        return exp.Anonymous(this=name, expressions=given)
    names = [f"v{i}" for i in range(len(given))]
    pairs = zip(names, given, strict=True)
    row = exp.Struct(expressions=[exp.PropertyEQ(this=exp.to_identifier(n), expression=a) for n, a in pairs])
    # Not row_.v0: in HAVING DuckDB takes that for a column that is not grouped.
    fields = [_call("STRUCT_EXTRACT", exp.column("row_"), exp.Literal.string(n)) for n in names]
    body = exp.Anonymous(this=name, expressions=fields)
    each = exp.Lambda(this=body, expressions=[exp.to_identifier("row_")])
    values = exp.Anonymous(this="LIST_TRANSFORM", expressions=[exp.Array(expressions=[row]), each])
    return exp.Anonymous(this="LIST_EXTRACT", expressions=[values, exp.Literal.number(1)])


def _binary(name: str) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: _call(name, node.this, node.args["expression"])


def _window(node: exp.Expr) -> exp.Expr:
    return _average(node) if isinstance(node.this, exp.Avg) else node


def _average(node: exp.Expr) -> exp.Expr:
    """AVG as SUM / COUNT, because DuckDB averages decimals in floating point; both keep AVG's window."""
    if isinstance(node.parent, exp.Window):
        return node  # its window is rewritten, and this with it
    return _call("bq_safe_divide", _aggregated(node, exp.Sum), _aggregated(node, exp.Count))


def _count_if(node: exp.Expr) -> exp.Expr:
    """COUNTIF over no rows is 0; DuckDB's count_if is a sum, and NULL there."""
    return exp.Count(this=exp.Case(ifs=[exp.If(this=node.this.copy(), true=exp.Literal.number(1))]))


def _aggregated(node: exp.Expr, aggregate: type[exp.AggFunc]) -> exp.Expr:
    if not isinstance(node, exp.Window):
        return aggregate(this=node.this.copy())
    window = node.copy()
    window.set("this", aggregate(this=node.this.this.copy()))
    return window


def _decimal(node: exp.Expr) -> exp.Expr:
    """NUMERIC and BIGNUMERIC without arguments get the widths of the platform."""
    scale = {exp.DType.DECIMAL: 9, exp.DType.BIGDECIMAL: 18}.get(node.this)
    if scale is None or node.expressions:
        return node
    return exp.DataType.build(f"DECIMAL(38, {scale})", dialect="duckdb")


def _cast(node: exp.Expr) -> exp.Expr:
    to = node.args["to"]
    name = {exp.DType.TEXT: "bq_text", exp.DType.BIGINT: "bq_int64"}.get(to.this)
    if name is None or to.expressions:
        return node
    call = _call(name, node.this)
    return _try(call) if isinstance(node, exp.TryCast) else call


def _try(node: exp.Expr) -> exp.Expr:
    """NULL instead of an error."""
    return exp.Anonymous(this="TRY", expressions=[node])


def _as_date(node: exp.Expr) -> exp.Expr:
    """DATE plus an interval is a TIMESTAMP in DuckDB, a DATE in BigQuery."""
    return exp.cast(node.copy(), exp.DType.DATE)


def _unit(node: exp.Expr) -> str:
    unit = node.args.get("unit")
    return unit.name.upper() if unit is not None else "DAY"


def _week_offset(node: exp.Expr) -> int | None:
    """Days from the week's first day to the Monday after it."""
    unit = node.args.get("unit")
    if isinstance(unit, exp.WeekStart):
        return (_WEEK_DAYS.index(unit.name.upper()) + 1) % 7
    return 1 if _unit(node) == "WEEK" else None


def _trunc(node: exp.Expr) -> exp.Expr:
    value, zone, offset = node.this, node.args.get("zone"), _week_offset(node)
    if zone is not None:
        value = exp.AtTimeZone(this=value.copy(), zone=zone.copy())
    if offset is not None:
        cut = _call("bq_trunc_week", value, exp.Literal.number(offset))
    else:
        part = "week" if _unit(node) == "ISOWEEK" else _unit(node).lower()
        cut = _call("bq_trunc", exp.Literal.string(part), value)
    return cut if zone is None else exp.AtTimeZone(this=cut, zone=zone.copy())


def _elapsed(node: exp.Expr) -> exp.Expr:
    """TIMESTAMP_DIFF counts whole elapsed units; DuckDB's date_diff counts boundaries, its date_sub does not."""
    unit = exp.Literal.string(_unit(node).lower())
    return _call("DATE_SUB", unit, node.args["expression"], node.this)


def _extract(node: exp.Expr) -> exp.Expr:
    part, value = node.this.name.upper(), node.expression
    if part in ("DATE", "TIME"):
        return exp.cast(value.copy(), part)
    found = _call("DATE_PART", exp.Literal.string("week" if part == "ISOWEEK" else part.lower()), value)
    if part == "DAYOFWEEK":  # BigQuery: Sunday is 1; DuckDB: Sunday is 0
        return exp.Paren(this=exp.Add(this=found, expression=exp.Literal.number(1)))
    if part in ("MILLISECOND", "MICROSECOND"):  # DuckDB counts from the minute, BigQuery from the second
        size = 1_000 if part == "MILLISECOND" else 1_000_000
        return exp.Paren(this=exp.Mod(this=found, expression=exp.Literal.number(size)))
    return found


def _unix_seconds(node: exp.Expr) -> exp.Expr:
    """BigQuery cuts fractions off towards the past, DuckDB would round them."""
    return exp.cast(_call("FLOOR", _call("EPOCH", node.this)), exp.DType.BIGINT)


def _from_unix(node: exp.Expr) -> exp.Expr:
    """TIMESTAMP_MILLIS and _MICROS: DuckDB gives them no zone."""
    if node.args.get("scale") is None:
        return node
    return exp.cast(node.copy(), exp.DType.TIMESTAMPTZ)


def _local(node: exp.Expr) -> exp.Expr:
    """FORMAT_TIMESTAMP's zone, which sqlglot drops, and fractions of a second."""
    text = node.args["format"].name.replace("%E3S", "%S.%g")
    node.set("format", exp.Literal.string(text))
    zone = node.args.get("zone")
    if zone is not None:
        instant = exp.cast(node.this.this.copy(), exp.DType.TIMESTAMPTZ)
        node.set("this", exp.AtTimeZone(this=instant, zone=zone.copy()))
        node.set("zone", None)
    return node


def _instant(node: exp.Expr) -> exp.Expr:
    """PARSE_TIMESTAMP gives an instant; its zone, UTC by default, is dropped by sqlglot."""
    zone = node.args.get("zone")
    node.set("zone", None)
    return exp.AtTimeZone(this=node.copy(), zone=zone.copy() if zone else exp.Literal.string("UTC"))


def _select(node: exp.Expr) -> exp.Expr:
    """AS STRUCT puts the columns into one; AS VALUE says that there is one already."""
    kind = node.args.get("kind")
    node.set("kind", None)
    if kind == "STRUCT":
        pairs = [
            exp.PropertyEQ(this=exp.to_identifier(e.alias_or_name or f"_{i}"), expression=e.unalias().copy())
            for i, e in enumerate(node.expressions)
        ]
        node.set("expressions", [exp.Struct(expressions=pairs)])
    return node


def _in_array(node: exp.Expr) -> exp.Expr:
    """IN UNNEST(@array) as a subquery, which DuckDB answers by one hash look-up a row; sqlglot's ARRAY_CONTAINS looks
    through the array for each. Where no subquery may stand, it stays."""
    unnest = node.args.get("unnest")
    array = unnest.expressions[0] if isinstance(unnest, exp.Unnest) and unnest.expressions else unnest
    if not isinstance(array, exp.Parameter) or node.find_ancestor(exp.Lambda, exp.Join, exp.Window):
        return node
    values = exp.select(exp.Anonymous(this="UNNEST", expressions=[array.copy()]))
    return exp.In(this=node.this.copy(), query=exp.Subquery(this=values))


def _unnest(node: exp.Expr) -> exp.Expr:
    """WITH OFFSET counts from 0; DuckDB's WITH ORDINALITY counts from 1, and not for lists of STRUCT."""
    offset, alias = node.args.get("offset"), node.args.get("alias")
    if not offset or alias is None or len(node.expressions) != 1:
        return node
    items = node.expressions[0]
    indexes = _call("RANGE", _call("LEN", items))
    pairs = zip((items, indexes), (*alias.columns, offset), strict=True)
    columns = [exp.alias_(_call("UNNEST", values), name.copy()) for values, name in pairs]
    return exp.select(*columns).subquery(f"unnested_{offset.name}")


def _rename(node: exp.Expr) -> exp.Expr:
    name = _RENAMED.get(node.name.upper())
    return node if name is None else name(node)


def _decimal_cast(scale: int) -> Callable[[exp.Expr], exp.Expr]:
    return lambda node: exp.cast(node.this.copy(), f"DECIMAL(38, {scale})", dialect="duckdb")


_RENAMED: Mapping[str, Callable[[exp.Expr], exp.Expr]] = {
    "ERROR": lambda node: node,
    "IEEE_DIVIDE": lambda node: _call("bq_ieee_divide", *node.expressions),
}

_REWRITES: Mapping[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Mul: _binary("bq_multiply"),
    exp.Div: _binary("bq_divide"),
    exp.SafeDivide: _binary("bq_safe_divide"),
    exp.Avg: _average,
    exp.CountIf: _count_if,
    exp.Window: _window,
    exp.DataType: _decimal,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.SafeAdd: lambda node: _try(exp.Add(this=node.this.copy(), expression=node.args["expression"].copy())),
    exp.SafeSubtract: lambda node: _try(
        exp.Sub(this=node.this.copy(), expression=node.args["expression"].copy())
    ),
    exp.SafeMultiply: lambda node: _try(_call("bq_multiply", node.this, node.args["expression"])),
    exp.SafeNegate: lambda node: _try(exp.Neg(this=exp.Paren(this=node.this.copy()))),
    exp.SafeFunc: lambda node: _try(node.this.copy()),
    exp.DateFromUnixDate: _as_date,
    exp.UnixSeconds: _unix_seconds,
    exp.UnixToTime: _from_unix,
    exp.TimeToStr: _local,
    exp.StrToTime: _instant,
    exp.DateAdd: _as_date,
    exp.DateSub: _as_date,
    exp.DateTrunc: _trunc,
    exp.TimestampTrunc: _trunc,
    exp.DatetimeTrunc: _trunc,
    exp.TimestampDiff: _elapsed,
    exp.Extract: _extract,
    exp.Anonymous: _rename,
    exp.Unnest: _unnest,
    exp.In: _in_array,
    exp.Select: _select,
    exp.ByteLength: lambda node: _call("bq_byte_length", node.this),
    exp.ParseBignumeric: _decimal_cast(18),
    exp.ParseNumeric: _decimal_cast(9),
    exp.Format: lambda node: _call("PRINTF", node.this, *node.expressions),
}
