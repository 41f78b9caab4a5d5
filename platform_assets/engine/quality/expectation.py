"""The form every expectation has, and the register of all of them.

An expectation is a frozen spec (its arguments) plus its meaning: which ``measures`` it needs of a slice, how
it ``judge``s them, and, where it speaks of single rows, which rows are ``unexpected``. Names, arguments, null
and ``mostly`` rules are Great Expectations' (core 1.x); what differs is listed in docs/quality.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar

from pydantic import Field

from platform_assets.engine.quality.model import Facts, Judgement, Severity
from platform_assets.engine.schema.model import FieldType, TableSchema
from platform_assets.engine.spec import Spec

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr, Measure

Complaint: TypeAlias = tuple[str, str, str | None]  # argument, reason, nearest valid name
Measures: TypeAlias = Mapping[str, "Expr | Measure"]
Seen: TypeAlias = Mapping[str, Any]  # local name → measured value


class Expectation(Spec):
    """What all expectations share. ``name`` overrides the id; ``row_condition`` picks the rows that count.

    ``on_failure: quarantine`` puts failing rows aside instead of acting on ``severity``; ``warn`` and ``fail`` are
    other words for severities ``warning`` and ``critical``.
    """

    family: ClassVar[str] = ""
    row_wise: ClassVar[bool] = False
    quotes_rows: ClassVar[bool] = False  # what it observes is a value that some row holds
    column_arguments: ClassVar[tuple[str, ...]] = ()
    table_argument: ClassVar[str] = ""  # which argument names other tables
    accepts: ClassVar[frozenset[FieldType] | None] = None

    type: str
    severity: Severity = Severity.WARNING
    name: str = Field(default="", pattern=r"^[A-Za-z0-9_]*$", max_length=200)
    description: str = ""
    on_failure: Literal["warn", "fail", "quarantine"] | None = None
    row_condition: str | None = None
    condition_parser: Literal["great_expectations", "great_expectations__experimental__", "sql"] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it reads, in the order of its arguments."""
        values = (getattr(self, argument) for argument in self.column_arguments)
        return tuple(
            name for value in values for name in ((value,) if isinstance(value, str) else value or ())
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """Its own arguments that were set, without what every expectation has."""
        return self.model_dump(exclude=set(Expectation.model_fields), exclude_defaults=True, mode="json")

    @property
    def conditions(self) -> tuple[tuple[str, str], ...]:
        """(argument, SQL condition over the table's columns) of each condition it has."""
        return () if self.row_condition is None else (("row_condition", self.row_condition),)

    @property
    def tables(self) -> tuple[str, ...]:
        """The other logical tables it reads."""
        return ()

    @property
    def own_query(self) -> str | None:
        """The query it brings along, in ``table_argument``; what it reads becomes ``tables`` once it is checked."""
        return None

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        """What this expectation cannot mean for a table of this schema."""
        yield from ()

    def other_complaints(self, schemas: dict[str, TableSchema]) -> Iterator[Complaint]:
        """What it cannot mean for the other tables it reads, all of which are in ``schemas``."""
        yield from ()

    def measures(self, on: Scope) -> Measures:
        """Local name → aggregate over the slice, or over a subquery of it."""
        raise NotImplementedError

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        """From the measures' values to success, exactly as Great Expectations would."""
        raise NotImplementedError

    def unexpected(self, on: Scope) -> Expr | None:
        """A row predicate, true for the rows to blame; ``None`` where no single row can be blamed."""
        return None


def mostly_success(considered: int, unexpected: int, mostly: float) -> bool:
    """Great Expectations' rule: nothing to consider is a success; otherwise the share, as a float."""
    return considered == 0 or (float(considered) - float(unexpected)) / float(considered) >= mostly


KINDS: dict[str, type[Expectation]] = {}
_E = TypeVar("_E", bound=type[Expectation])


def kind(*names: str) -> Callable[[_E], _E]:
    """Register an expectation under the names which a suite may call it."""

    def register(cls: _E) -> _E:
        for name in names:
            if name in KINDS:
                raise ValueError(f"{name} is registered twice")
            KINDS[name] = cls
        return cls

    return register
