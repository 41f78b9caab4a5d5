"""Money with more digits after the point than its column keeps.

Owns the one rule for all sources: rounded half to even at the column's scale, never refused, never in silence. What was
rounded is counted per column with the exact sum of what was taken away, so that
``sum of the source = sum of the table + difference``. Binary floats printed as decimals (1.2345678901234567e-07) are
the usual case; refusing them would lose the day for less than a billionth of a billionth of a unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

from platform_assets.engine.schema.arrow import BIGNUMERIC_SCALE, NUMERIC_SCALE
from platform_assets.engine.schema.model import FieldType

if TYPE_CHECKING:
    import pyarrow as pa

SCALES: Mapping[FieldType, int] = {
    FieldType.NUMERIC: NUMERIC_SCALE,
    FieldType.BIGNUMERIC: BIGNUMERIC_SCALE,
}
_EXACT = Context(prec=400, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Rounded:
    """Of one column: how many values were rounded, and the sum of what the source said beyond what is kept."""

    values: int
    difference: Decimal


@dataclass
class Roundings:
    """What was rounded so far, by column."""

    columns: dict[str, Rounded] = field(default_factory=dict)

    def add(self, column: str, values: int, difference: Decimal) -> None:
        before = self.columns.get(column, Rounded(0, Decimal()))
        total = _EXACT.add(before.difference, difference)
        self.columns[column] = Rounded(before.values + values, total)

    def decimal(self, column: str, number: Decimal, scale: int) -> Decimal:
        """A finite number with at most ``scale`` digits after the point."""
        kept = number.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
        if kept != number:
            self.add(column, 1, _EXACT.subtract(number, kept))
        return kept

    def array(self, column: str, wide: pa.Array, target: pa.Decimal128Type) -> pa.Array:
        """``wide`` is decimal256 with a digit to spare. ArrowInvalid where a value does not fit before the point."""
        import pyarrow.compute as pc

        kept = pc.round(wide, target.scale, "half_to_even")
        if values := pc.sum(pc.not_equal(wide, kept)).as_py():
            self.add(column, values, pc.sum(pc.subtract(wide, kept)).as_py())
        return kept.cast(target)

    def describe(self) -> str:
        """``amount: 3 values, difference 0.0000000000000000004``, column by column; "" where nothing was rounded."""
        return "; ".join(
            f"{name}: {rounded.values} values, difference {rounded.difference:f}"
            for name, rounded in sorted(self.columns.items())
        )
