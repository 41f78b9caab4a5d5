"""``row_condition``: a SQL boolean expression over the table's own columns, in BigQuery's dialect.

Great Expectations' ``col("x") > 5`` form is read too. Refuses subqueries, aggregates, windows, parameters,
unknown functions and unknown columns: a condition looks at one row and nothing else.
"""

from __future__ import annotations

import ast
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from platform_assets.engine.schema.model import TableSchema

if TYPE_CHECKING:
    from sqlglot import exp


class ConditionError(ValueError):
    """Why a condition cannot be used, and the nearest valid name where one was meant."""

    def __init__(self, reason: str, nearest: str | None = None) -> None:
        super().__init__(reason)
        self.nearest = nearest


def nearest_name(name: str, known: tuple[str, ...]) -> str | None:
    lower = {k.lower(): k for k in known}
    match = get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    return lower[match[0]] if match else None


def parse_condition(text: str, schema: TableSchema) -> exp.Expr:
    """The condition as a tree whose columns are quoted and spelled as in the schema."""
    tree = _parse(text)
    _refuse_foreign(tree)
    _resolve_columns(tree, schema)
    _prove_portable(tree, text)
    return tree


def _parse(text: str) -> exp.Expr:
    import sqlglot
    from sqlglot.errors import SqlglotError

    if "col(" in text or "Column(" in text:
        return _from_python(text)
    try:
        return sqlglot.parse_one(text, dialect="bigquery", into=sqlglot.exp.Condition)
    except SqlglotError as error:
        raise ConditionError(f"{text!r} is not a SQL condition: {_first_line(error)}") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _refuse_foreign(tree: exp.Expr) -> None:
    from sqlglot import exp

    refused: tuple[tuple[type[exp.Expr], str], ...] = (
        (exp.Query, "a subquery"),
        (exp.AggFunc, "an aggregate"),
        (exp.Window, "a window function"),
        (exp.Parameter, "a parameter"),
        (exp.Placeholder, "a placeholder"),
        (exp.Star, "*"),
        (exp.Anonymous, "a function that is not known in both warehouses"),
        (exp.Rand, "a random value"),
        (exp.CurrentDate, "the clock"),
        (exp.CurrentTimestamp, "the clock"),
        (exp.CurrentDatetime, "the clock"),
        (exp.Alias, "an alias"),
    )
    for node in tree.walk():
        for cls, what in refused:
            if isinstance(node, cls):
                raise ConditionError(
                    f"a row_condition looks at one row only; {node.sql('bigquery')!r} is {what}"
                )


def _resolve_columns(tree: exp.Expr, schema: TableSchema) -> None:
    from sqlglot import exp

    columns = list(tree.find_all(exp.Column))
    if not columns:
        raise ConditionError("a row_condition must name at least one column of the table")
    for column in columns:
        name = column.parts[0].name
        field = schema.get(name)
        if field is None:
            raise ConditionError(f"unknown column {name!r}", nearest_name(name, schema.names))
        if len(column.parts) == 1:
            column.set("this", exp.to_identifier(field.name, quoted=True))


def _prove_portable(tree: exp.Expr, text: str) -> None:
    from platform_assets.engine.sql.dialect import duckdb_problems

    problems = duckdb_problems(tree)
    if problems:
        raise ConditionError(f"{text!r} does not carry over to DuckDB: {problems[0].reason}")


# --- Great Expectations' own form ---

_COMPARISONS = {ast.Gt: "GT", ast.GtE: "GTE", ast.Lt: "LT", ast.LtE: "LTE", ast.Eq: "EQ", ast.NotEq: "NEQ"}
_NULL_METHODS = {"notNull": False, "isNull": True, "is_not_null": False, "is_null": True}


def _from_python(text: str) -> exp.Expr:
    try:
        return _python_node(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError:
        raise ConditionError(f'{text!r} is not a condition such as col("x") > 5') from None


def _python_node(node: ast.expr) -> exp.Expr:
    from sqlglot import exp

    match node:
        case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
            return exp.and_(_python_node(left), _python_node(right))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return exp.paren(exp.or_(_python_node(left), _python_node(right)))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            cls: Any = getattr(exp, _COMPARISONS[type(op)])
            comparison: exp.Expr = cls(this=_python_value(left), expression=_python_value(right))
            return comparison
        case ast.Call(func=ast.Attribute(value=subject, attr=attr), args=[]) if attr in _NULL_METHODS:
            null = exp.Is(this=_python_value(subject), expression=exp.Null())
            return null if _NULL_METHODS[attr] else exp.not_(null)
    raise ConditionError(f'{ast.unparse(node)!r} is not a condition such as col("x") > 5')


def _python_value(node: ast.expr) -> exp.Expr:
    from sqlglot import exp

    match node:
        case ast.Call(func=ast.Name(id="col" | "Column"), args=[ast.Constant(value=str(name))]):
            return exp.column(name, quoted=True)
        case ast.Constant(value=str() | int() | float() | bool() as value):
            return exp.convert(value)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return exp.Neg(this=_python_value(operand))
    raise ConditionError(f"{ast.unparse(node)!r} is neither a column nor a plain value")
