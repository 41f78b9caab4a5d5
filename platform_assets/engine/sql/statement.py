"""One statement of BigQuery's SQL, parsed: the door through which every query comes.

Owns what is decided before there is a tree. Refuses scripts, DDL and DML by their first word, because sqlglot does
not parse all of them; and a second statement after a semicolon.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp, parse_one
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType


@dataclass(frozen=True, order=True)
class SqlProblem:
    """One thing wrong in a query: the line inside its text, why, and the nearest valid name."""

    line: int
    reason: str
    nearest: str | None = None


def parse_query(text: str) -> tuple[exp.Expr, list[SqlProblem]]:
    """The tree of one statement; it is empty where there are problems."""
    problems = _statement_problems(text)
    if problems:
        return exp.Expression(), problems
    try:
        return parse_one(text, dialect="bigquery"), []
    except (ParseError, TokenError) as error:
        return exp.Expression(), _parse_problems(error)


def _statement_problems(text: str) -> list[SqlProblem]:
    """Exactly one statement, and it starts with SELECT, WITH or a bracket."""
    try:
        tokens = BigQuery().tokenize(text)
    except TokenError as error:
        return [SqlProblem(1, f"not SQL: {error}")]
    if not tokens:
        return [SqlProblem(1, "the file holds no statement")]
    return _first_word(tokens[0]) or _after_semicolon(tokens)


def _first_word(token: Token) -> list[SqlProblem]:
    if token.token_type in (TokenType.SELECT, TokenType.WITH, TokenType.L_PAREN):
        return []
    return [SqlProblem(token.line, f"only one SELECT or WITH query is allowed, not {token.text.upper()}")]


def _after_semicolon(tokens: list[Token]) -> list[SqlProblem]:
    ends = [i for i, t in enumerate(tokens) if t.token_type is TokenType.SEMICOLON]
    rest = [t for t in tokens[ends[0] :] if t.token_type is not TokenType.SEMICOLON] if ends else []
    return [SqlProblem(rest[0].line, "a second statement follows; one query per file")] if rest else []


def _parse_problems(error: ParseError | TokenError) -> list[SqlProblem]:
    """What the parser said, with its lines."""
    details = getattr(error, "errors", None) or [{"line": 1, "description": str(error)}]
    return [SqlProblem(int(d.get("line") or 1), f"not SQL: {d.get('description')}") for d in details]
