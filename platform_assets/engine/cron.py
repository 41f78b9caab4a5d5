"""Cron texts: five fields, as cron(5) has them, or ``@hourly @daily @weekly @monthly @yearly``.

Accepts a subset of what the scheduler accepts, so that a text which passes here never fails there. Refuses
seconds, ``L`` and ``#``, ranges that run backwards, and days that never come (31 February).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache

from platform_assets.engine.errors import ConfigError

_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
ALIASES = tuple(_ALIASES)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM = re.compile(r"(?P<all>\*)|(?P<low>[0-9]{1,2}|[a-z]{3})(-(?P<high>[0-9]{1,2}|[a-z]{3}))?")


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def values(self, text: str) -> frozenset[int]:
        return frozenset(v for item in text.split(",") for v in self._item(item))

    def _item(self, text: str) -> range:
        span, slash, step = text.partition("/")
        match = _ITEM.fullmatch(span)
        if match is None or (slash and not re.fullmatch(r"[1-9][0-9]?", step)):
            raise ConfigError(f"{text!r} is not a cron {self.name}")
        if slash and match["all"] is None and match["high"] is None:
            raise ConfigError(f"{text!r} is not a cron {self.name}: a step needs a range or *")
        low = self.low if match["all"] else self._number(match["low"])
        high = self.high if match["all"] else self._number(match["high"] or match["low"])
        if low > high:
            raise ConfigError(f"{text!r} is not a cron {self.name}: the range runs backwards")
        return range(low, high + 1, int(step) if slash else 1)

    def _number(self, text: str) -> int:
        if not text.isdigit():
            if text not in self.names:
                raise ConfigError(f"{text!r} is not a cron {self.name}")
            return self.names.index(text) + self.low
        if not self.low <= int(text) <= self.high:
            raise ConfigError(f"{text} is not a cron {self.name}: {self.low} to {self.high}")
        return int(text)


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _DAYS),
)


def check_cron(text: str) -> None:
    """Raises ConfigError saying which field is wrong and why."""
    if text.startswith("@"):
        if text not in ALIASES:
            raise ConfigError(f"{text!r} is not a cron alias; known: {', '.join(ALIASES)}")
        return
    parts = text.lower().split()
    if len(parts) != len(_FIELDS):
        raise ConfigError(f"{text!r} has {len(parts)} fields; cron has 5: minute hour day month weekday")
    _, _, days, months, _ = [f.values(p) for f, p in zip(_FIELDS, parts, strict=True)]
    if parts[4] == "*" and min(days) > max(_LONGEST[m - 1] for m in months):
        raise ConfigError(f"{text!r} never comes: no such day in that month")


def ticks_on(text: str, day: date) -> int:
    """How often a checked text ticks on a day of its own time zone, by cron(5): where day of month and weekday are both
    restricted, one of them is enough. A day on which the clocks change counts like any other."""
    minutes, hours, days, months, weekdays = _values(text)
    of_month, of_week = day.day in days, not weekdays.isdisjoint({day.isoweekday() % 7, day.isoweekday()})
    either = len(days) < 31 and not weekdays >= set(range(7))
    if day.month not in months or not (of_month or of_week if either else of_month and of_week):
        return 0
    return len(minutes) * len(hours)


@cache
def _values(text: str) -> tuple[frozenset[int], ...]:
    parts = _ALIASES.get(text, text).lower().split()
    return tuple(field.values(part) for field, part in zip(_FIELDS, parts, strict=True))


def minute_of(text: str) -> int | None:
    """The one minute of the hour at which it ticks; None where there are several."""
    minute = text.split(maxsplit=1)[0]
    return int(minute) if minute.isdigit() else None


def spread(text: str, minutes: int) -> str:
    """The same cron ticking at each of the ``minutes`` + 1 minutes from its own on. ConfigError where it has not one
    minute of its own, or where they do not fit into its hour."""
    if not minutes:
        return text
    first = minute_of(text)
    if first is None or first + minutes > 59:
        raise ConfigError(
            f"{text!r} cannot be spread over {minutes} minutes: needs one minute, and room in its hour"
        )
    return " ".join([f"{first}-{first + minutes}", *text.split()[1:]])
