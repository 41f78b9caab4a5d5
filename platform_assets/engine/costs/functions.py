"""The register of computations: what a ``compute`` step may name, and where each function stands.

A function gets its inputs' rows by name and the slice's context, and gives rows (column → value) in a fixed order.
It is pure: neither clock nor network, and the same inputs always give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from platform_assets.engine.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.engine.schema.model import Scalar, TableSchema
    from platform_assets.engine.tenancy import TenantSpec

Row: TypeAlias = Mapping[str, Any]
Inputs: TypeAlias = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Slot:
    """For whom and for which slice a function computes; ``day`` is the run date, or the first of its month."""

    tenant: TenantSpec
    day: date


Function: TypeAlias = Callable[[Inputs, Slot], Iterable[Row]]

FUNCTIONS: Mapping[str, str] = {
    "budget_status": "platform_assets.engine.costs.budgets:status_rows",
    "converted_spend": "platform_assets.engine.costs.currency:converted_rows",
    "estimated_token_costs": "platform_assets.engine.costs.estimates:estimated_rows",
    "saas_daily_costs": "platform_assets.engine.costs.saas:daily_rows",
    "spend_anomalies": "platform_assets.engine.costs.anomalies:anomaly_rows",
}


def function(name: str) -> Function:
    """The function of that name. ConfigError lists the known ones."""
    if name not in FUNCTIONS:
        raise ConfigError(f"there is no function {name!r}; there are {', '.join(sorted(FUNCTIONS))}")
    module, _, attribute = FUNCTIONS[name].partition(":")
    found: Function = getattr(import_module(module), attribute)
    return found


def compute(
    name: str,
    inputs: Mapping[str, pa.Table],
    slot: Slot,
    schema: TableSchema,
    constants: Mapping[str, Scalar],
) -> pa.RecordBatch:
    """Run a function on query results; its rows in the columns of ``schema``, ``constants`` (the standard columns)
    added. DataError for a column the table does not have, a value its type cannot hold, or a null where none may be.
    """
    import pyarrow as pa

    from platform_assets.engine.schema.arrow import arrow_schema

    rows = list(function(name)({n: table.to_pylist() for n, table in inputs.items()}, slot))
    unknown = sorted({column for row in rows for column in row if schema.get(column) is None})
    if unknown:
        raise DataError(f"{name} gives column {unknown[0]!r}, which the table does not have")
    wanted = {n: v for n, v in constants.items() if schema.get(n) is not None}
    try:
        batch = pa.RecordBatch.from_pylist([{**row, **wanted} for row in rows], schema=arrow_schema(schema))
        batch.validate(full=True)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise DataError(f"{name}: {error}") from None
    for column in batch.schema:
        if not column.nullable and batch.column(column.name).null_count:
            raise DataError(f"{name}: {column.name} is null, but REQUIRED")
    return batch
