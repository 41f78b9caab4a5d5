"""A batch of one event type, from bodies to rows: the fast path for what fits, the table manager for the rest.

What the first odd events add to the table is known when the next are looked at, so that a new field costs the closer
look a few times and not once per event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from platform_assets.engine.events.fitting import Fitted, fit
from platform_assets.engine.events.spec import Contract, ContractMode
from platform_assets.engine.events.typed import Block, read_columns, sort_out
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_LOOK = 64
_NEXT_LOOK = 4  # times as many each time


@dataclass
class Taken:
    """``rows``: one row for each of ``indexes``, by ``columns``. By index, why events were ``refused`` (dead letters)
    or ``discarded`` (as the contract says). ``discarded_values``: how many values were left out, by column."""

    columns: TableSchema
    rows: pa.Table
    indexes: list[int]
    refused: dict[int, str] = field(default_factory=dict)
    discarded: dict[int, str] = field(default_factory=dict)
    discarded_values: dict[str, int] = field(default_factory=dict)


def take(columns: TableSchema, contract: Contract, bodies: Sequence[bytes]) -> Taken:
    """Events (JSON objects) as rows of ``columns`` (without the standard ones), which may grow."""
    ignore = contract.columns is ContractMode.DISCARD_VALUE
    waiting, size = dict(enumerate(bodies)), FIRST_LOOK
    fitting: list[Block] = []
    found = Fitted(columns)
    while waiting:
        known = sort_out(found.columns, waiting, ignore_unknown=ignore, nulls=frozenset(found.nulls))
        fitting += known.fitting
        look, rest = known.others[:size], known.others[size:]
        _add(found, fit(found.columns, contract, {index: bodies[index] for index in look}))
        waiting, size = {index: waiting[index] for index in rest}, size * _NEXT_LOOK
    rows, indexes, odd = read_columns(found.columns, fitting)
    _add(found, fit(found.columns, contract, {index: bodies[index] for index in odd}))
    return _taken(found, rows, indexes)


def _add(found: Fitted, more: Fitted) -> None:
    found.columns = more.columns
    found.rows |= more.rows
    found.refused |= more.refused
    found.discarded |= more.discarded
    found.nulls |= more.nulls
    for name, count in more.discarded_values.items():
        found.discarded_values[name] = found.discarded_values.get(name, 0) + count


def _taken(found: Fitted, rows: pa.Table, indexes: list[int]) -> Taken:
    import pyarrow as pa

    schema = arrow_schema(found.columns)
    if found.rows:
        slow = pa.Table.from_pylist(list(found.rows.values()), schema=schema)
        rows, indexes = pa.concat_tables([rows.cast(schema), slow]), [*indexes, *found.rows]
    return Taken(found.columns, rows, indexes, found.refused, found.discarded, found.discarded_values)
