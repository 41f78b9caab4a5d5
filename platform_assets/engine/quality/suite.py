"""From ``dq.yml`` entries to expectations, or to everything that is wrong with them.

Refuses unknown types, columns and arguments, reversed ranges, values a column cannot hold, patterns that the
two warehouses would read differently, and conditions that cannot be parsed. A suite that passes will compile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.aliases import ALIASES, own_word, resolve
from platform_assets.engine.quality.catalogue import MODULES, kind_named
from platform_assets.engine.quality.condition import ConditionError, nearest_name, parse_condition
from platform_assets.engine.quality.expectation import Complaint, Expectation
from platform_assets.engine.quality.model import CustomQueryError, Severity, SuiteProblem
from platform_assets.engine.quality.packs import PACKS, expand, pack_of
from platform_assets.engine.schema.model import TableSchema

_T = TypeVar("_T")


class Memory(Protocol):
    """What is known of a text: ``read`` of what ``find`` gave, now or in an earlier process. Errors of ``find`` go
    through."""

    def __call__(
        self, text: str, *, checks: str, find: Callable[[], dict[str, Any]], read: Callable[[Any], _T]
    ) -> _T: ...


def found_anew(
    text: str, *, checks: str, find: Callable[[], dict[str, Any]], read: Callable[[Any], _T]
) -> _T:
    """Remembers nothing."""
    return read(find())


def known_types() -> tuple[str, ...]:
    """Every ``type`` that a suite may use, sorted: expectations, short rule types, packs."""
    return tuple(sorted({*MODULES, *ALIASES, *PACKS}))


def parse_suite(
    raw: Sequence[dict[str, Any]],
    schema: TableSchema,
    tables: Mapping[str, TableSchema] | None = None,
    memory: Memory | None = None,
    unreadable: Collection[str] = (),
) -> tuple[tuple[Expectation, ...], list[SuiteProblem]]:
    """Read a suite against a table's schema. Expectations come back in order, each with a unique ``name``;
    those with problems are left out and every problem of all of them is returned.

    ``tables`` are all logical tables that a suite may compare with; without it those names are not checked.
    ``unreadable`` ones exist, but nothing is known of their columns.
    ``memory`` keeps what earlier processes found out about conditions and queries: parsing SQL costs more than all
    the rest. Without it everything is parsed.
    """
    known = memory or found_anew
    entries, problems = _expanded(raw, schema)
    read = [(index, *_read(index, entry, schema, tables, known, unreadable)) for index, entry in entries]
    problems += [problem for _, _, found in read for problem in found]
    sound = [(index, expectation) for index, expectation, found in read if expectation and not found]
    named, clashes = _name_all(sound)
    return named, problems + clashes


def _expanded(
    raw: Sequence[dict[str, Any]], schema: TableSchema
) -> tuple[list[tuple[int, dict[str, Any]]], list[SuiteProblem]]:
    """Entries with their index, each pack replaced by its rules."""
    entries: list[tuple[int, dict[str, Any]]] = []
    problems: list[SuiteProblem] = []
    for index, entry in enumerate(raw):
        if pack_of(entry) is None:
            entries.append((index, entry))
            continue
        rules, found = expand(index, entry, schema)
        entries += [(index, rule) for rule in rules]
        problems += found
    return entries, problems


def _read(
    index: int,
    entry: dict[str, Any],
    schema: TableSchema,
    tables: Mapping[str, TableSchema] | None,
    memory: Memory,
    unreadable: Collection[str],
) -> tuple[Expectation | None, list[SuiteProblem]]:
    said = normalised(entry)
    meant = resolve(said)
    name = meant.get("type")
    if not isinstance(name, str) or name not in MODULES:
        return None, [SuiteProblem(index, "type", f"unknown expectation {name!r}", nearest_type(name))]
    cls = kind_named(name)
    try:
        expectation = cls(**meant)
    except ValidationError as error:
        complaints = list(_invalid(error, cls))
        return None, _problems(index, said, complaints)
    complaints = [
        *_complaints(expectation, schema),
        *_condition_complaints(expectation, schema, memory),
        *_query_complaints(expectation, memory),
        *_table_complaints(expectation, tables, unreadable),
    ]
    return expectation, _problems(index, said, complaints)


def _problems(index: int, said: dict[str, Any], complaints: list[Complaint]) -> list[SuiteProblem]:
    """Complaints in the words that the entry used."""
    return [
        SuiteProblem(index, own_word(said.get("type"), argument), reason, nearest)
        for argument, reason, nearest in complaints
    ]


_OTHER_WORDS = {"expectation_type": "type", "filter": "row_condition"}
_SEVERITY_OF = {"warn": Severity.WARNING, "fail": Severity.CRITICAL}


def normalised(entry: dict[str, Any]) -> dict[str, Any]:
    """The flat form of an entry: ``kwargs`` spread out, ``filter`` and ``expectation_type`` by their newer names,
    the severity that ``on_failure`` implies."""
    kwargs = entry.get("kwargs")
    flat = {**entry, **kwargs} if isinstance(kwargs, dict) else dict(entry)
    if isinstance(kwargs, dict):
        del flat["kwargs"]
    flat = {_OTHER_WORDS.get(key, key): value for key, value in flat.items()}
    implied = _SEVERITY_OF.get(str(flat.get("on_failure")))
    return {"severity": implied.value, **flat} if implied else flat


def nearest_type(name: object) -> str | None:
    return nearest_name(name, known_types()) if isinstance(name, str) else None


def _invalid(error: ValidationError, cls: type[Expectation]) -> Iterator[Complaint]:
    seen: set[str] = set()
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else "type"
        if name in seen:  # a union reports once per member
            continue
        seen.add(name)
        if item["type"] == "extra_forbidden":
            known = tuple(field.alias or key for key, field in cls.model_fields.items())
            yield name, "unknown argument", nearest_name(name, known)
        else:
            yield name, _reason(item["msg"]), None


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")


def _complaints(expectation: Expectation, schema: TableSchema) -> Iterator[Complaint]:
    wrong = list(_unknown_columns(expectation, schema)) or list(_type_complaints(expectation, schema))
    yield from wrong or expectation.complaints(schema)
    if expectation.on_failure == "quarantine" and not expectation.row_wise:
        yield "on_failure", "only expectations about single rows can put rows into quarantine", None


def _table_complaints(
    expectation: Expectation, tables: Mapping[str, TableSchema] | None, unreadable: Collection[str]
) -> Iterator[Complaint]:
    if tables is None or not expectation.tables:
        return
    unknown = [name for name in expectation.tables if name not in tables]
    for name in unknown:
        if name not in unreadable:
            yield expectation.table_argument, f"unknown table {name!r}", nearest_name(name, tuple(tables))
    if not unknown:
        yield from expectation.other_complaints(dict(tables))


def _unknown_columns(expectation: Expectation, schema: TableSchema) -> Iterator[Complaint]:
    for argument in expectation.column_arguments:
        value = getattr(expectation, argument)
        for name in (value,) if isinstance(value, str) else value or ():
            if schema.get(name) is None:
                yield argument, f"unknown column {name!r}", nearest_name(name, schema.names)


def _type_complaints(expectation: Expectation, schema: TableSchema) -> Iterator[Complaint]:
    if expectation.accepts is None:
        return
    for name in expectation.columns:
        field = schema.get(name)
        if field is not None and field.type not in expectation.accepts:
            wanted = ", ".join(sorted(expectation.accepts))
            yield (
                expectation.column_arguments[0],
                f"column {name!r} is {field.type}; needs one of {wanted}",
                None,
            )


def _condition_complaints(
    expectation: Expectation, schema: TableSchema, memory: Memory
) -> Iterator[Complaint]:
    def find() -> dict[str, Any]:
        parse_condition(text, schema)
        return {"sound": True}

    for argument, text in expectation.conditions:
        try:
            memory(text, checks=f"condition {schema.names}", find=find, read=lambda found: found["sound"])
        except ConditionError as error:
            yield argument, str(error), error.nearest


def _query_complaints(expectation: Expectation, memory: Memory) -> Iterator[Complaint]:
    query = expectation.own_query
    if query is None:
        return

    def find() -> dict[str, Any]:
        from platform_assets.engine.quality.custom import tables_of

        return {"tables": tables_of(query)}

    try:
        tables = memory(query, checks="query of a check", find=find, read=_names)
    except CustomQueryError as error:
        yield from ((expectation.table_argument, reason, None) for reason in error.reasons)
    else:
        vars(expectation)["tables"] = tables


def _names(found: Any) -> tuple[str, ...]:
    return tuple(str(TableName.parse(name)) for name in found["tables"])


# --- ids ---


def base_id(expectation: Expectation) -> str:
    """Readable and made of ``[A-Za-z0-9_]``: the type, then its columns."""
    parts = [expectation.type, *expectation.columns]
    return "__".join(_safe(part) for part in parts)[:180]


def _safe(text: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in text)


def _digest(expectation: Expectation) -> str:
    content = expectation.model_dump(mode="json", exclude={"name", "severity", "description"})
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _name_all(
    expectations: Iterable[tuple[int, Expectation]],
) -> tuple[tuple[Expectation, ...], list[SuiteProblem]]:
    """Ids stay the same when other expectations are added: only a second one of the same type and columns
    carries a digest of its arguments."""
    taken: set[str] = set()
    named: list[Expectation] = []
    problems: list[SuiteProblem] = []
    for index, expectation in expectations:
        name = expectation.name or base_id(expectation)
        if name in taken and not expectation.name:
            name = f"{name}__{_digest(expectation)}"
        if name in taken:
            problems.append(SuiteProblem(index, "name", f"a second expectation means the same: {name!r}"))
            continue
        taken.add(name)
        named.append(expectation.model_copy(update={"name": name}))
    return tuple(named), problems
