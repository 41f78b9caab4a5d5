"""Which monitors take a change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from platform_assets.engine.cdc.monitor import Monitor
from platform_assets.engine.cdc.record import ChangeRecord, ChangeType, look_up
from platform_assets.engine.cdc.spec import Match, Predicate

OBJECTS = ("public_pipeline_run",)
CHANGE_TYPES = (ChangeType.INSERT, ChangeType.UPDATE)


def handlers_for(monitors: Sequence[Monitor], record: ChangeRecord) -> Iterator[tuple[Monitor, str]]:
    """(monitor, handler) of everything that takes the change, in order."""
    for monitor in monitors:
        for name, handler in monitor.spec.handlers.items():
            if _takes(monitor.spec.match, handler.match, record):
                yield monitor, name


def _takes(common: Match, own: Match, record: ChangeRecord) -> bool:
    """A record that does not say what it is a change of is taken for what the monitor watches."""
    objects = own.objects or common.objects or OBJECTS
    changes = own.change_types or common.change_types or CHANGE_TYPES
    return (
        (record.object in objects or not record.object)
        and record.change in changes
        and _is_one(record.payload.get("pipeline_uuid"), own.pipeline_uuid or common.pipeline_uuid)
        and _is_one(record.payload.get("status"), own.status or common.status)
        and all(_holds(predicate, record) for predicate in (*common.where, *own.where))
    )


def _is_one(value: Any, wanted: tuple[str, ...] | None) -> bool:
    return wanted is None or (isinstance(value, str) and value in wanted)


def _holds(predicate: Predicate, record: ChangeRecord) -> bool:
    (condition,) = predicate.conditions
    return _CONDITIONS[condition](look_up(record.fields, predicate.path), getattr(predicate, condition))


def _same(value: Any, wanted: Any) -> bool:
    """``true`` is not 1."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_CONDITIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": _same,
    "not_equals": lambda value, wanted: not _same(value, wanted),
    "one_of": lambda value, wanted: any(_same(value, one) for one in wanted),
    "none_of": lambda value, wanted: not any(_same(value, one) for one in wanted),
    "matches": lambda value, wanted: isinstance(value, str) and re.search(wanted, value) is not None,
    "exists": lambda value, wanted: (value is not None) == wanted,
    "at_least": lambda value, wanted: _number(value) and value >= wanted,
    "at_most": lambda value, wanted: _number(value) and value <= wanted,
}
