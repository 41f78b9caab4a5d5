"""Points fit to be written: in order, spaced, none twice; and counts that any number of deliveries leave right.

A ``Ledger`` is what a tenant-day remembers of its effects: which changes were counted in which series, how far each
series has been written, and which handlers of a message are through while others must wait. Everything told follows
from it, so that a repeat tells the same.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta

import msgspec

# Cloud Monitoring takes one point per series each five seconds. Source: cloud.google.com/monitoring/quotas.
SPACING = timedelta(seconds=5)
_SHORTEST = timedelta(milliseconds=1)
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, order=True)
class Series:
    """A metric with its labels, sorted."""

    name: str
    labels: Labels

    @classmethod
    def of(cls, name: str, labels: Mapping[str, str]) -> Series:
        return cls(name, tuple(sorted(labels.items())))

    def __str__(self) -> str:
        return f"{self.name}{{{', '.join(f'{key}={value}' for key, value in self.labels)}}}"


@dataclass(frozen=True)
class Point:
    """``source``: the message that it is of, for a gauge; ``start`` for a counter."""

    series: Series
    end: datetime
    value: float | int
    start: datetime | None = None
    source: str = ""


@dataclass(frozen=True)
class Ledger:
    """``counted``: message id → the series it counts in and when; ``newest``: series → its newest point's end;
    ``through``: message id → handlers that need not run again."""

    counted: Mapping[str, tuple[tuple[Series, datetime], ...]] = field(default_factory=dict)
    newest: Mapping[Series, datetime] = field(default_factory=dict)
    through: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Spaced:
    """``points`` to write. ``superseded`` have a newer value within five seconds; ``late`` came after a newer point
    of their series had been written."""

    points: tuple[Point, ...]
    superseded: int = 0
    late: int = 0


def spaced(points: Iterable[Point], newest: Mapping[Series, datetime]) -> Spaced:
    """Gauges as the sink takes them. Of points less than five seconds apart the latest counts."""
    kept, superseded, late = [], 0, 0
    for series, found in _by_series(points).items():
        fresh = [p for p in found if series not in newest or p.end > newest[series]]
        late += len(found) - len(fresh)
        thinned = _thinned(fresh, newest.get(series))
        superseded += len(fresh) - len(thinned)
        kept += thinned
    return Spaced(tuple(kept), superseded, late)


def _by_series(points: Iterable[Point]) -> dict[Series, list[Point]]:
    """Series in order, each one's points by time, those of one time as they came."""
    found: dict[Series, list[Point]] = {}
    for point in points:
        found.setdefault(point.series, []).append(point)
    return {series: sorted(found[series], key=lambda p: p.end) for series in sorted(found)}


def _thinned(points: Sequence[Point], newest: datetime | None) -> list[Point]:
    """From the latest backwards; one that comes too soon after what is written moves to its earliest time."""
    kept: list[Point] = []
    for point in reversed(points):
        earliest = newest + SPACING if newest else point.end
        moved = replace(point, end=max(point.end, earliest))
        if not kept or kept[-1].end - moved.end >= SPACING:
            kept.append(moved)
    return kept[::-1]


def counts(ledger: Ledger, changed: Iterable[Series], *, again: bool = False) -> list[Point]:
    """The points that tell how often each of ``changed`` was counted by then, five seconds apart or more.

    All of a day start at its midnight. A change that came late raises the next point; where there is none, one
    is told five seconds after the newest. ``again`` tells the whole day's.
    """
    times: dict[Series, list[datetime]] = {series: [] for series in sorted(set(changed))}
    for entries in ledger.counted.values():
        for series, at in entries:
            if series in times:
                times[series].append(at)
    return [
        point
        for series, found in times.items()
        for point in _count_points(series, sorted(found), None if again else ledger.newest.get(series))
    ]


def _count_points(series: Series, times: Sequence[datetime], newest: datetime | None) -> Iterator[Point]:
    if not times:
        return
    start = datetime.combine(times[0].astimezone(UTC).date(), time(), UTC)
    last = start + timedelta(days=1) - _SHORTEST
    ends = [max(at, start + _SHORTEST) for at in times if newest is None or at > newest]
    if newest is not None and (not ends or ends[0] < newest + SPACING):
        ends = sorted({min(newest + SPACING, last), *ends})
    kept: list[datetime] = []
    for end in reversed(ends):
        far = newest is None or end - newest >= SPACING
        if far and (not kept or kept[-1] - end >= SPACING):
            kept.append(end)
    for end in kept[::-1]:
        yield Point(series, end, bisect_right(times, end), start)


# --- As bytes --------------------------------------------------------------------------------------------------------


class _Stored(msgspec.Struct):
    """Series by number, since a day has few of them and many changes."""

    series: list[tuple[str, dict[str, str]]]
    counted: dict[str, list[tuple[int, datetime]]]
    newest: list[tuple[int, datetime]]
    through: dict[str, list[str]]


def encode_ledger(ledger: Ledger) -> bytes:
    known = sorted({s for entries in ledger.counted.values() for s, _ in entries} | set(ledger.newest))
    number = {series: index for index, series in enumerate(known)}
    return msgspec.json.encode(
        _Stored(
            [(series.name, dict(series.labels)) for series in known],
            {id_: [(number[s], at) for s, at in entries] for id_, entries in ledger.counted.items()},
            [(number[series], end) for series, end in sorted(ledger.newest.items())],
            {id_: sorted(names) for id_, names in ledger.through.items()},
        )
    )


def decode_ledger(data: bytes) -> Ledger:
    found = msgspec.json.decode(data, type=_Stored)
    series = [Series.of(name, labels) for name, labels in found.series]
    return Ledger(
        {id_: tuple((series[n], at) for n, at in entries) for id_, entries in found.counted.items()},
        {series[n]: end for n, end in found.newest},
        {id_: frozenset(names) for id_, names in found.through.items()},
    )
