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

from platform_assets.engine.errors import ConfigError

if TYPE_CHECKING:
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
    "saas_daily_costs": "platform_assets.engine.costs.saas:daily_rows",
}


def function(name: str) -> Function:
    """The function of that name. ConfigError lists the known ones."""
    if name not in FUNCTIONS:
        raise ConfigError(f"there is no function {name!r}; there are {', '.join(sorted(FUNCTIONS))}")
    module, _, attribute = FUNCTIONS[name].partition(":")
    found: Function = getattr(import_module(module), attribute)
    return found
