"""The three forms in which pipelines were written before, and how each is known."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Shape(StrEnum):
    """``README``: service E's README, sources and rules in files of their own. ``FOLDER``: service E as it ran, a
    folder per pipeline (G1). ``STEPS``: service C and later, steps with a ``ps_type`` (G2 and newer)."""

    README = "the form of service E's README"
    FOLDER = "service E's folder form (G1)"
    STEPS = "service C's step form (G2 and newer)"


_README_STEPS = frozenset({"ingest", "dq_check", "transform"})
_FOLDER_STEPS = frozenset({"bigquery_to_bigquery", "data_quality"})


def shape_of(value: Any) -> Shape | None:
    """The old form of a document's value, or None where it is none of them."""
    if not isinstance(value, Mapping) or "pipeline_id" not in value:
        return None
    steps = [step for step in _list(value.get("steps")) if isinstance(step, Mapping)]
    if any("ps_type" in step for step in steps):
        return Shape.STEPS
    if any(step.get("type") in _FOLDER_STEPS for step in steps) or (not steps and "source" in value):
        return Shape.FOLDER
    if any(step.get("type") in _README_STEPS and "step_id" not in step for step in steps):
        return Shape.README
    return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
