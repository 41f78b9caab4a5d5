"""How far a column's distribution is from an expected one: Kullback-Leibler divergence of observed from expected.

The counts come from the audit's scan; the arithmetic is Great Expectations'. An expected share of 0 for something
that was observed is infinitely far, so ``tail_weight_holdout`` or ``internal_weight_holdout`` must leave room for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from platform_assets.engine.quality.column_aggregate import ColumnAggregate
from platform_assets.engine.quality.expectation import Complaint, Measures, Seen, kind
from platform_assets.engine.quality.model import Facts, Judgement
from platform_assets.engine.quality.values import EQUATABLE, NUMBERS, Value, coerce
from platform_assets.engine.schema.model import FieldType, TableSchema
from platform_assets.engine.spec import Spec

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope

Types = frozenset[FieldType] | None
Share = Annotated[float, Field(ge=0, le=1)]


class PartitionObject(Spec):
    """Expected shares. Either ``values`` with a weight each, or ``bins`` (n+1 rising edges) with n weights;
    then ``tail_weights`` are the shares below the first and above the last edge."""

    values: tuple[Value, ...] | None = None
    bins: tuple[float, ...] | None = None
    weights: tuple[Share, ...]
    tail_weights: tuple[Share, Share] | None = None

    def complaint(self) -> str | None:
        """What makes it no distribution, or ``None``."""
        if (self.values is None) == (self.bins is None):
            return "needs either values or bins"
        wanted = len(self.values or ()) if self.bins is None else len(self.bins) - 1
        if wanted < 1 or len(self.weights) != wanted:
            return f"has {len(self.weights)} weights where {max(wanted, 1)} are needed"
        if self.bins and any(high <= low for low, high in pairwise(self.bins)):
            return "bins must rise"
        if self.bins and not all(math.isfinite(edge) for edge in self.bins):
            return "edges must be finite; use tail_weights for what lies beyond them"
        total = sum(self.weights) + sum(self.tail_weights or ())
        return None if math.isclose(total, 1.0, abs_tol=1e-6) else f"weights add up to {total:g}, not 1"


@kind("expect_column_kl_divergence_to_be_less_than")
class KlDivergence(ColumnAggregate):
    accepts: ClassVar[Types] = EQUATABLE

    partition_object: PartitionObject
    threshold: Annotated[float, Field(ge=0)]
    tail_weight_holdout: Share = 0
    internal_weight_holdout: Share = 0

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        wrong = self.partition_object.complaint()
        if wrong:
            yield "partition_object", wrong, None
            return
        yield from self._holdout_complaints()
        yield from self._type_complaints(schema)

    def _holdout_complaints(self) -> Iterator[Complaint]:
        if self.tail_weight_holdout and self.partition_object.tail_weights:
            yield "tail_weight_holdout", "must be 0 where the partition has tail_weights", None
        if self.internal_weight_holdout and self.partition_object.values:
            yield "internal_weight_holdout", "is for bins only", None

    def _type_complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        field = schema.get(self.column)
        if field is None:
            return
        if self.partition_object.bins and field.type not in NUMBERS:
            yield "partition_object", f"bins need a column of numbers; {self.column!r} is {field.type}", None
        for value in self.partition_object.values or ():
            try:
                coerce(value, field.type)
            except ValueError as error:
                yield "partition_object", str(error), None

    def measures(self, on: Scope) -> Measures:
        if self.partition_object.bins:
            return on.histogram(self.column, self.partition_object.bins)
        return on.over.value_histogram(self.column, self.partition_object.values or ())

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        known = seen["known"]
        if not known:
            return Judgement(success=False, details={"observed": []})
        observed, expected = self._binned(seen) if self.partition_object.bins else self._listed(seen)
        divergence = entropy(observed, known, expected)
        if self.partition_object.values:
            divergence += self._of_others(seen)
        details = {"observed": [float(o) / known for o in observed], "expected": expected}
        finite = divergence if math.isfinite(divergence) else None
        return Judgement(success=divergence <= self.threshold, observed_value=finite, details=details)

    def _binned(self, seen: Seen) -> tuple[list[float], list[float]]:
        """Observed counts and expected shares: below, each bin, above."""
        partition = self.partition_object
        inner = [w * (1 - self.tail_weight_holdout - self.internal_weight_holdout) for w in partition.weights]
        empty = inner.count(0)
        if self.internal_weight_holdout and empty:
            inner = [w or self.internal_weight_holdout / empty for w in inner]
        half = self.tail_weight_holdout / 2
        below, above = partition.tail_weights or (half, half)
        counts = [seen[f"bin{i}"] for i in range(len(inner))]
        return [seen["below"], *counts, seen["above"]], [below, *inner, above]

    def _listed(self, seen: Seen) -> tuple[list[float], list[float]]:
        """Observed counts and expected shares of the listed values; ``_of_others`` adds the rest."""
        weights = self.partition_object.weights
        holdout = self.tail_weight_holdout if seen["others"] else 0
        counts = [seen[f"value{i}"] or 0 for i in range(len(weights))]
        return counts, [w * (1 - holdout) for w in weights]

    def _of_others(self, seen: Seen) -> float:
        """What values that are not listed add: each is expected with an equal part of the holdout, q. Their sum
        of p × ln(p ÷ q) needs only how many there are, their rows, and the sum of n × ln(n)."""
        if not seen["others"]:
            return 0.0
        if not self.tail_weight_holdout:
            return math.inf
        known, rows = float(seen["known"]), float(seen["other_rows"])
        log_q = math.log(self.tail_weight_holdout / seen["others"])
        return float(seen["other_entropy"]) / known - rows / known * (math.log(known) + log_q)


def entropy(observed: Sequence[Any], total: float, expected: Sequence[float]) -> float:
    """Sum of p × ln(p ÷ q), p being ``observed`` ÷ ``total``; infinite where something observed was not expected."""
    terms = ((float(o) / total, q) for o, q in zip(observed, expected, strict=True) if o)
    return sum(p * math.log(p / q) if q else math.inf for p, q in terms)
