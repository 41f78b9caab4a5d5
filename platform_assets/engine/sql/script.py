"""Scripts: procedures and migrations as plain statements over logical tables, parsed and checked like transforms.

Owns what a script may say: INSERT, UPDATE, DELETE, MERGE, and CALL of another procedure; ``BEGIN/COMMIT TRANSACTION``
around them is understood and left out, because a script always is one transaction. Refuses, each with file and line:
everything else by its first word (EXECUTE IMMEDIATE, DDL, DCL, exports, variables, loops), placeholders in braces,
UPDATE and DELETE without WHERE, and whatever a transform may not say either. Values are parameters named ``p_…``, which
no column may be called; nothing is pasted into text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp, parse_one
from sqlglot.dialects.bigquery import BigQuery
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.names import TableName, physical, valid_dataset
from platform_assets.engine.procedures import Call, Procedure
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.binding import bind_dml, bind_query, physical_change, require_parameters
from platform_assets.engine.sql.dialect import duckdb_problems
from platform_assets.engine.sql.model import BoundSql, Parameters
from platform_assets.engine.sql.statement import SqlProblem
from platform_assets.engine.sql.transform import dataset_tables, line_of, node_problems

DATASET = "metadata"  # where a tenant's procedures live
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_PARAMETER = re.compile(r"p_[a-z][a-z0-9_]{0,60}")
_DML = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_TRANSACTION = re.compile(r"(BEGIN|COMMIT)\s+TRANSACTION", re.I)
_ARGUMENT_TYPES: Mapping[str, FieldType] = {
    "STRING": FieldType.STRING,
    "DATE": FieldType.DATE,
    "TIMESTAMP": FieldType.TIMESTAMP,
    "INT64": FieldType.INT64,
    "FLOAT64": FieldType.FLOAT64,
    "BOOL": FieldType.BOOL,
    "NUMERIC": FieldType.NUMERIC,
    "BIGNUMERIC": FieldType.BIGNUMERIC,
}


@dataclass(frozen=True)
class Change:
    """One INSERT, UPDATE, DELETE or MERGE. Treat ``tree`` as read-only."""

    line: int
    tree: exp.Expr

    @property
    def target(self) -> TableName:
        table = self.tree.this.find(exp.Table)
        assert table is not None, "a checked change names its table"
        return TableName(table.db, table.name)

    @property
    def reads(self) -> tuple[TableName, ...]:
        """The tables it reads, sorted; its own target only where it is named a second time."""
        first = self.tree.this.find(exp.Table)
        others = (t for t in dataset_tables(self.tree) if t is not first)
        return tuple(sorted({TableName(t.db, t.name) for t in others}))


@dataclass(frozen=True)
class Script:
    """A checked body. ``parameters``: name → type, in order."""

    file: str
    statements: tuple[Change | Call, ...]
    parameters: Mapping[str, FieldType]

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(s for s in self.statements if isinstance(s, Change))

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(s for s in self.statements if isinstance(s, Call))

    @property
    def writes(self) -> tuple[TableName, ...]:
        return tuple(sorted({change.target for change in self.changes}))

    @property
    def reads(self) -> tuple[TableName, ...]:
        return tuple(sorted({table for change in self.changes for table in change.reads}))


def parse_procedure(text: str, *, file: str, name: str) -> Script:
    """Exactly one ``CREATE OR REPLACE PROCEDURE metadata.<name>(IN p_x DATE, …) BEGIN … END;``, named as its file.

    ConfigError with every problem, by file and line.
    """
    tokens = _tokens(text, file)
    header, body = _split_header(tokens, file)
    given, parameters = _header(header, file)
    if given != name:
        _fail(file, [SqlProblem(1, f"creates {given!r}, but the file is named {name}.sql", name)])
    return _script(text, body, file, parameters)


def parse_migration(text: str, *, file: str) -> Script:
    """Plain statements, without parameters and calls."""
    script = _script(text, _tokens(text, file), file, {})
    calls = [
        SqlProblem(s.line, "a migration calls no procedure") for s in script.statements if isinstance(s, Call)
    ]
    _fail(file, calls)
    return script


def _fail(file: str, problems: Sequence[SqlProblem]) -> None:
    if problems:
        found = tuple(sorted({Problem(file, p.line, "", p.reason, p.nearest) for p in problems}))
        raise ConfigError(f"{file} is not a usable script", found)


def _tokens(text: str, file: str) -> list[Token]:
    try:
        tokens = BigQuery().tokenize(text)
    except TokenError as error:
        raise ConfigError(f"{file} is not SQL", (Problem(file, 1, "", f"not SQL: {error}"),)) from None
    braces = [
        t for t in tokens if t.token_type in (TokenType.L_BRACE, TokenType.R_BRACE, TokenType.BLOCK_START)
    ]
    reason = "placeholders are not filled here; write dataset.table, and parameters for values"
    _fail(file, [SqlProblem(t.line, f"{t.text}: {reason}") for t in braces[:1]])
    _fail(file, [] if tokens else [SqlProblem(1, "the file holds no statement")])
    return tokens


# --- CREATE PROCEDURE ------------------------------------------------------------------------------------------------


def _split_header(tokens: list[Token], file: str) -> tuple[list[Token], list[Token]]:
    words = [t.text.upper() for t in tokens]
    if words[:4] != ["CREATE", "OR", "REPLACE", "PROCEDURE"]:
        _fail(file, [SqlProblem(tokens[0].line, "a procedure's file is one CREATE OR REPLACE PROCEDURE")])
    begin = next((i for i, word in enumerate(words) if word == "BEGIN"), None)
    while words and words[-1] == ";":
        words.pop()
    if begin is None or words[-1] != "END":
        last = tokens[len(words) - 1].line
        _fail(file, [SqlProblem(last, "one procedure ends with END; and nothing follows it")])
    assert begin is not None
    return tokens[4:begin], tokens[begin + 1 : len(words) - 1]


def _header(tokens: list[Token], file: str) -> tuple[str, dict[str, FieldType]]:
    """``metadata.name(IN p_x DATE, …) [OPTIONS(…)]``."""
    texts = [t.text for t in tokens]
    line = tokens[0].line if tokens else 1
    if len(texts) < 5 or texts[:2] != [DATASET, "."] or texts[3] != "(" or ")" not in texts:
        _fail(file, [SqlProblem(line, f"write CREATE OR REPLACE PROCEDURE {DATASET}.<name>(IN p_x DATE, …)")])
    end = texts.index(")")
    rest = [text.upper() for text in texts[end + 1 :]]
    if rest and (rest[:2] != ["OPTIONS", "("] or rest[-1] != ")" or rest.count("(") != 1):
        _fail(file, [SqlProblem(line, f"{' '.join(rest)}: only OPTIONS(…) may stand between ) and BEGIN")])
    return texts[2], _parameters(tokens[4:end], file)


def _parameters(tokens: list[Token], file: str) -> dict[str, FieldType]:
    found: dict[str, FieldType] = {}
    problems: list[SqlProblem] = []
    for part in _split(tokens, TokenType.COMMA):
        words, line = [t.text for t in part], part[0].line
        mode, name, kind = (["IN", *words] if len(words) == 2 else [*words, "", "", ""])[:3]
        if len(words) > 3 or mode.upper() != "IN":
            problems.append(
                SqlProblem(line, f"{' '.join(words)}: a parameter is IN p_name TYPE; there is no OUT")
            )
        elif not _PARAMETER.fullmatch(name) or name in found:
            problems.append(SqlProblem(line, f"{name!r}: parameters are named p_…, each once"))
        elif kind.upper() not in _ARGUMENT_TYPES:
            known = ", ".join(sorted(_ARGUMENT_TYPES))
            problems.append(SqlProblem(line, f"{name}: {kind} is not a parameter's type; there are {known}"))
        else:
            found[name] = _ARGUMENT_TYPES[kind.upper()]
    _fail(file, problems)
    return found


def _split(tokens: Sequence[Token], at: TokenType) -> Iterator[list[Token]]:
    part: list[Token] = []
    for token in tokens:
        if token.token_type is at:
            if part:
                yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part


# --- Statements ------------------------------------------------------------------------------------------------------


def _script(text: str, tokens: list[Token], file: str, parameters: Mapping[str, FieldType]) -> Script:
    problems: list[SqlProblem] = []
    statements: list[Change | Call] = []
    for part in _split(tokens, TokenType.SEMICOLON):
        source = text[part[0].start : part[-1].end + 1]
        if _TRANSACTION.fullmatch(source.strip()):
            continue
        made = _statement(source, part[0].line, parameters, problems)
        if made:
            statements.append(made)
    if not statements and not problems:
        problems.append(SqlProblem(tokens[0].line if tokens else 1, "the body changes nothing"))
    _fail(file, problems)
    return Script(file, tuple(statements), parameters)


def _statement(
    source: str, line: int, parameters: Mapping[str, FieldType], problems: list[SqlProblem]
) -> Change | Call | None:
    word = source.split(None, 1)[0].upper()
    if word == "CALL":
        return _call(source, line, parameters, problems)
    if word not in {"INSERT", "UPDATE", "DELETE", "MERGE"}:
        shown = "EXECUTE IMMEDIATE (SQL made from values)" if word == "EXECUTE" else word
        reason = (
            f"{shown} is not allowed; a script is INSERT, UPDATE, DELETE, MERGE and CALL in one transaction"
        )
        problems.append(SqlProblem(line, reason))
        return None
    try:
        tree = parse_one(source, dialect="bigquery")
    except ParseError as error:
        details = error.errors or [{"line": 1, "description": str(error)}]
        problems += [
            SqlProblem(line + int(d["line"] or 1) - 1, f"not SQL: {d['description']}") for d in details
        ]
        return None
    found = [replace(p, line=p.line + line - 1) for p in _problems(tree, parameters)]
    problems += found
    return None if found else Change(line, tree)


def _problems(tree: exp.Expr, parameters: Mapping[str, FieldType]) -> Iterator[SqlProblem]:
    if not isinstance(tree, _DML) or not tree.this or not tree.this.find(exp.Table):
        yield SqlProblem(1, "not a change of a table")
        return
    wrong = node_problems(tree)
    yield from wrong
    for table in dataset_tables(tree):
        if not valid_dataset(table.db):
            yield SqlProblem(
                line_of(table), f"{table.db}.{table.name}: a dataset is raw_…, silver_…, gold_… or metadata"
            )
    if not tree.this.find(exp.Table).db:
        yield SqlProblem(line_of(tree), "the table to change is dataset.table")
    if isinstance(tree, exp.Update | exp.Delete) and tree.args.get("where") is None:
        yield SqlProblem(line_of(tree), f"{tree.key.upper()} needs a WHERE")
    for node in tree.find_all(exp.Parameter):
        yield SqlProblem(line_of(node), f"@{node.name}: a script's parameters are written without @")
    unknown = {c.name for c in _free(tree) if c.name not in parameters}
    for name in sorted(unknown):
        known = ", ".join(parameters) or "none"
        yield SqlProblem(line_of(tree), f"{name} is not a parameter; there are {known}")
    if not wrong and not unknown:
        yield from duckdb_problems(_with_parameters(tree))


def _free(tree: exp.Expr) -> Iterator[exp.Column]:
    """What is written like a parameter."""
    return (c for c in tree.find_all(exp.Column) if not c.table and _PARAMETER.fullmatch(c.name))


def _with_parameters(tree: exp.Expr) -> exp.Expr:
    """``p_x`` as ``@p_x``, which is how values are bound."""
    made = tree.copy()
    for column in list(_free(made)):
        column.replace(exp.Parameter(this=exp.var(column.name)))
    return made


def _call(
    source: str, line: int, parameters: Mapping[str, FieldType], problems: list[SqlProblem]
) -> Call | None:
    match = re.fullmatch(rf"CALL\s+{DATASET}\.([a-z][a-z0-9_]*)\s*\(([^()]*)\)", source.strip(), re.I)
    if match is None:
        problems.append(SqlProblem(line, f"write CALL {DATASET}.<name>(p_x, …) with own parameters only"))
        return None
    arguments = tuple(word.strip() for word in match[2].split(",") if word.strip())
    for name in arguments:
        if name not in parameters:
            problems.append(SqlProblem(line, f"{name} is not a parameter of this procedure"))
    return Call(line, match[1], arguments)


# --- Binding ---------------------------------------------------------------------------------------------------------


def bound_procedure(
    name: str, procedures: Mapping[str, Procedure], tenant: str, values: Parameters
) -> tuple[BoundSql, ...]:
    """Every change in order, calls inlined, on the tenant's own tables, with its values bound. ConfigError names every
    parameter that is missing, left over or of another type."""
    procedure = procedures[name]
    require_parameters(procedure.file, tuple(procedure.parameters), values)
    return tuple(
        bind_dml(_with_parameters(change.tree), tenant, values, name=procedure.file)
        for change in inlined(name, procedures)
    )


def inlined(name: str, procedures: Mapping[str, Procedure]) -> tuple[Change, ...]:
    """The changes of a procedure with those of what it calls in their place, in its own parameters' names. A
    transaction cannot begin inside another, so this is how a procedure that calls others stays all or nothing."""
    found: list[Change] = []
    for statement in procedures[name].script.statements:
        if isinstance(statement, Change):
            found.append(statement)
        else:
            names = dict(zip(procedures[statement.name].parameters, statement.arguments, strict=True))
            found += [_renamed(change, names) for change in inlined(statement.name, procedures)]
    return tuple(found)


def _renamed(change: Change, names: Mapping[str, str]) -> Change:
    tree = change.tree.copy()
    for column in list(_free(tree)):
        column.set("this", exp.to_identifier(names[column.name]))
    return Change(change.line, tree)


def bound_migration(script: Script, tenant: str) -> tuple[BoundSql, ...]:
    return tuple(bind_dml(change.tree, tenant, {}, name=script.file) for change in script.changes)


def affected_rows(change: Change, tenant: str, values: Parameters, file: str) -> BoundSql:
    """The rows that a change would touch as things are now: those it would delete, update (as they were) or insert; of
    a MERGE, its source."""
    tree = _with_parameters(change.tree)
    if isinstance(tree, exp.Insert):
        rows = tree.expression
    elif isinstance(tree, exp.Merge):
        source = tree.args["using"]
        rows = exp.select("*").from_(source)
    else:
        rows = _matching(tree)
    query = rows if isinstance(rows, exp.Query) else exp.select("*").from_(rows)
    used = {p.name for p in query.find_all(exp.Parameter)}
    return bind_query(query, tenant, {n: v for n, v in values.items() if n in used}, name=file)


def _matching(tree: exp.Expr) -> exp.Query:
    table = tree.this
    where = tree.args["where"].this
    query = exp.select(exp.Column(this=exp.Star(), table=exp.to_identifier(table.alias_or_name))).from_(table)
    if isinstance(tree, exp.Update) and tree.args.get("from_"):
        query = query.join(tree.args["from_"].this, join_type="cross")
    return query.where(where)


def procedure_sql(name: str, procedures: Mapping[str, Procedure], tenant: str) -> str:
    """``CREATE OR REPLACE PROCEDURE`` for BigQuery, on the tenant's own tables, in one transaction. A failed statement
    ends the script, and BigQuery then rolls its transaction back."""
    place = physical(tenant, TableName(DATASET, name))
    types = ", ".join(f"IN {one} {kind}" for one, kind in procedures[name].parameters.items())
    changes = [f"{physical_change(change.tree, tenant)};" for change in inlined(name, procedures)]
    lines = [
        f"CREATE OR REPLACE PROCEDURE `{place.dataset}`.`{place.table}`({types})",
        *("OPTIONS(strict_mode=TRUE)", "BEGIN", "BEGIN TRANSACTION;", *changes, "COMMIT TRANSACTION;", "END"),
    ]
    return "\n".join(lines)
