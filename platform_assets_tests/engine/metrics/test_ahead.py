from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from platform_assets.engine.metrics.ahead import ahead


def test_items_come_in_order_and_errors_where_they_were() -> None:
    def items() -> Iterator[int]:
        yield from range(100)
        raise KeyError("here")

    found = []
    with pytest.raises(KeyError, match="here"):
        for item in ahead(items()):
            found.append(item)
    assert found == list(range(100))


def test_it_runs_only_so_far_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    taken = ahead(items(), depth=3)
    for _ in range(10):
        next(taken)
    assert len(made) <= 10 + 3 + 1
    taken.close()
    assert not [t for t in threading.enumerate() if t.name == "metric-ahead"]
    assert len(made) <= 10 + 3 + 2


def test_an_empty_iterator_is_empty() -> None:
    assert list(ahead(iter(()))) == []
