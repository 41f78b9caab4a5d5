"""Expectations that hold each value of a column against the whole of it: repeats, statistics, order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from platform_assets.engine.quality.column_map import ColumnMap, Types
from platform_assets.engine.quality.expectation import Measures, kind
from platform_assets.engine.quality.values import EQUATABLE, NUMBERS, ORDERED

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr


@kind("expect_column_values_to_be_unique")
class Unique(ColumnMap):
    """No value occurs twice; every row of a repeated value is unexpected."""

    accepts: ClassVar[Types] = EQUATABLE

    def measures(self, on: Scope) -> Measures:
        repeated = on.over.repeated_rows([self.column], [on.present(self.column)])
        return {"rows": on.rows(), "known": on.count_known(self.column), "unexpected": repeated}

    def unexpected(self, on: Scope) -> Expr:
        return on.over.is_repeated(self.column)


class AgainstColumn(ColumnMap):
    """Values against statistics of their own column, which are subqueries of the same query."""

    accepts: ClassVar[Types] = NUMBERS

    def measures(self, on: Scope) -> Measures:
        unexpected = on.over.count_over([self.unexpected(on)])
        return {"rows": on.rows(), "known": on.count_known(self.column), "unexpected": unexpected}


@kind("expect_column_value_z_scores_to_be_less_than")
class ZScore(AgainstColumn):
    """(value - mean) / standard deviation < ``threshold``; ``double_sided`` compares its absolute value.
    A column without spread (one value, all equal, or an infinity among them) has no unexpected rows."""

    threshold: float
    double_sided: bool = False

    def unexpected(self, on: Scope) -> Expr:
        score = on.over.z_score(self.column)
        limit = abs(self.threshold) if self.double_sided else self.threshold
        return on.at_least(on.absolute(score) if self.double_sided else score, limit)


@kind("expect_column_values_to_not_be_outliers")
class NotOutliers(AgainstColumn):
    """``iqr``: within ``multiplier`` interquartile ranges of the quartiles; ``std``: nearer to the mean than
    ``multiplier`` standard deviations. A column that offers no such window has no outliers."""

    method: Literal["iqr", "std"] = "iqr"
    multiplier: Annotated[float, Field(gt=0)] = 1.5

    def unexpected(self, on: Scope) -> Expr:
        if self.method == "iqr":
            return on.over.outside_quartiles(self.column, self.multiplier)
        return on.at_least(on.absolute(on.over.z_score(self.column)), self.multiplier)


class Sequenced(ColumnMap):
    """Values in the order of ``order_by``: a table has no order of its own, so it must be named."""

    accepts: ClassVar[Types] = ORDERED
    column_arguments: ClassVar[tuple[str, ...]] = ("column", "order_by")
    row_wise: ClassVar[bool] = False
    # The relation to the value before it that is wrong: (strictly, otherwise).
    wrong: ClassVar[tuple[str, str]]

    strictly: bool | None = None
    order_by: Annotated[tuple[str, ...], Field(min_length=1)]

    def measures(self, on: Scope) -> Measures:
        comparison = self.wrong[0] if self.strictly else self.wrong[1]
        unexpected = on.over.count_steps(self.column, self.order_by, comparison)
        return {"rows": on.rows(), "known": on.count_known(self.column), "unexpected": unexpected}

    def unexpected(self, on: Scope) -> Expr:
        return on.never()


@kind("expect_column_values_to_be_increasing")
class Increasing(Sequenced):
    wrong: ClassVar[tuple[str, str]] = ("<=", "<")


@kind("expect_column_values_to_be_decreasing")
class Decreasing(Sequenced):
    wrong: ClassVar[tuple[str, str]] = (">=", ">")
