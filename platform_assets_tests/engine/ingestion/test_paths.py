"""The path grammar."""

from __future__ import annotations

import pytest

from platform_assets.engine.ingestion.paths import parse_path, path_problems


@pytest.mark.parametrize(
    ("text", "levels", "tail"),
    [
        ("data[].results[]", (("data",), ("results",)), ()),
        ("$.data[].start_time", (("data",),), ("start_time",)),
        ("amount.value", (), ("amount", "value")),
        ("[]", ((),), ()),
        ("$[].x", ((),), ("x",)),
        ("a.b[].c.d[].e", (("a", "b"), ("c", "d")), ("e",)),
        ("$", (), ()),
        (".", (), ()),
        ("$.next_page", (), ("next_page",)),
        ("[][]", ((), ()), ()),
    ],
)
def test_paths(text: str, levels: object, tail: object) -> None:
    path = parse_path(text)
    assert (path.levels, path.tail) == (levels, tail)


@pytest.mark.parametrize("text", ["", "a..b", "a[0]", "a[*].b", "a.[]", "a b.c d. e", "..a", "a.", "a]["])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse_path(text)


def test_paths_are_checked_together() -> None:
    columns = {"a": "$.data[].start", "b": "x.y", "c": "$.other[].z", "d": "list[].x", "e": "a..b"}
    problems = path_problems("data[].results[]", columns, ["object", "bad[", ".", "$.x"])
    assert [p.partition(":")[0] for p in problems] == ["e", "ignore bad[", "c", "d", "ignore .", "ignore $.x"]
    assert path_problems("data[].results[]", {"a": "$.data[].results[].x"}, []) == ()
