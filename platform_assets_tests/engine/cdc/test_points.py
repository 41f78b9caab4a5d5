"""What is written of a series: in order, five seconds apart, and counts that are right at the end."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.cdc.points import (
    SPACING,
    Ledger,
    Point,
    Series,
    counts,
    decode_ledger,
    encode_ledger,
    spaced,
)

MIDNIGHT = datetime(2025, 11, 5, tzinfo=UTC)
A, B = Series.of("m", {"partner": "a"}), Series.of("m", {"partner": "b"})


def at(seconds: float) -> datetime:
    return MIDNIGHT + timedelta(seconds=seconds)


def gauge(series: Series, seconds: float, value: float) -> Point:
    return Point(series, at(seconds), value)


def told(points: object) -> list[tuple[float, float]]:
    return [((p.end - MIDNIGHT).total_seconds(), p.value) for p in points]  # type: ignore[attr-defined]


def test_of_points_close_together_the_latest_counts() -> None:
    found = spaced([gauge(A, 12, 3), gauge(A, 10, 1), gauge(A, 11, 2), gauge(A, 30, 4), gauge(B, 11, 9)], {})
    assert told(found.points) == [(12, 3), (30, 4), (11, 9)]
    assert (found.superseded, found.late) == (2, 0)


def test_of_points_of_one_time_the_last_counts() -> None:
    assert told(spaced([gauge(A, 10, 1), gauge(A, 10, 2)], {}).points) == [(10, 2)]


def test_a_point_behind_what_was_written_is_late_and_one_close_to_it_moves() -> None:
    found = spaced([gauge(A, 5, 1), gauge(A, 10, 2), gauge(A, 12, 3)], {A: at(10)})
    assert told(found.points) == [(15, 3)]
    assert found.late == 2


def ledger(*times: float, newest: float | None = None) -> Ledger:
    counted = {f"m{number}": ((A, at(time)),) for number, time in enumerate(times)}
    return Ledger(counted, {} if newest is None else {A: at(newest)})


def test_counts_grow_from_midnight() -> None:
    points = counts(ledger(10, 20, 21, 40), [A])
    assert told(points) == [(10, 1), (21, 3), (40, 4)]
    assert {point.start for point in points} == {MIDNIGHT}


def test_only_what_is_new_is_told_again_unless_all_is_asked_for() -> None:
    found = ledger(10, 20, 40, newest=20)
    assert told(counts(found, [A])) == [(40, 3)]
    assert told(counts(found, [A], again=True)) == [(10, 1), (20, 2), (40, 3)]


def test_a_change_that_comes_late_raises_the_next_point() -> None:
    assert told(counts(ledger(10, 40, 20, newest=40), [A])) == [(45, 3)]


def test_the_first_instant_of_a_day_is_a_millisecond_long() -> None:
    assert told(counts(ledger(0), [A])) == [(0.001, 0 + 1)]


def test_nothing_is_told_past_the_end_of_the_day() -> None:
    found = ledger(86_399.5, 86_399.6, newest=86_399.5)
    assert told(counts(found, [A])) == []


times = st.lists(st.floats(0, 86_000, allow_nan=False).map(lambda s: round(s, 3)), min_size=1, max_size=40)


@given(times, st.lists(st.integers(1, 5), max_size=20))
def test_in_whatever_batches_changes_come_the_count_ends_right_and_points_are_spaced(
    seconds: list[float], sizes: list[int]
) -> None:
    """Batch after batch over one ledger, as runs do it."""
    now, written, rest = Ledger(), [], list(enumerate(seconds))
    while rest:
        size = sizes.pop() if sizes else len(rest)
        batch, rest = rest[:size], rest[size:]
        counted = {**now.counted, **{f"m{n}": ((A, at(s)),) for n, s in batch}}
        points = counts(Ledger(counted, now.newest), [A])
        written += points
        newest = max([p.end for p in points], default=now.newest.get(A, MIDNIGHT))
        now = Ledger(counted, {**now.newest, A: newest})
    ends = [point.end for point in written]
    assert all(later - earlier >= SPACING for earlier, later in pairwise(ends))
    assert [p.value for p in written] == sorted(p.value for p in written)
    assert written[-1].value == len(seconds)


def test_a_ledger_survives_its_bytes() -> None:
    found = Ledger(
        {"m1": ((A, at(1)), (B, at(1))), "m2": ((A, at(2)),)}, {A: at(2)}, {"m3": frozenset({"x.y", "x.z"})}
    )
    assert decode_ledger(encode_ledger(found)) == found
    assert decode_ledger(encode_ledger(Ledger())) == Ledger()
