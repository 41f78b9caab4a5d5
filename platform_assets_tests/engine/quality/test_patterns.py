"""Patterns mean the same in both warehouses: RE2 decides, and strptime is Python's."""

import random
from datetime import UTC, datetime

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from platform_assets.engine.quality.regex import regex_problem
from platform_assets.engine.quality.strftime import UnknownDirective, pattern_of
from platform_assets_tests.engine.quality.duck import connection

REFUSED = [
    ("(?=a)", "look-ahead"),
    ("(?<!a)b", "look-ahead or look-behind"),
    (r"(a)\1", "back-reference"),
    ("(?P<x>a)(?P=x)", "back-reference"),
    ("(?>a)", "atomic"),
    ("a++", "possessive"),
    ("(a)?(?(1)b|c)", "conditional"),
    ("a{1001}", "repeat above 1000"),
    (r"a\Z", r"write \z"),
    (r"\u00e9", r"write \x"),
    ("(?x)a b", "flags"),
    ("(?#note)a", "comment"),
    ("[a", "not a regular expression"),
    ("a)", "not a regular expression"),
    ("*a", "not a regular expression"),
]


@pytest.mark.parametrize(("pattern", "reason"), REFUSED)
def test_refused(pattern: str, reason: str) -> None:
    problem = regex_problem(pattern)
    assert problem is not None
    assert reason in problem


ACCEPTED = [
    r"^[A-Z]{3}$",
    r"\d+\.\d+",
    r"(?i)null",
    r"(?s:.*)$",
    r"a\z",
    r"\x{1F600}",
    r"\pL+",
    r"[[:alpha:]]",
    r"\\Z",
]


@pytest.mark.parametrize("pattern", ACCEPTED)
def test_accepted_patterns_run(pattern: str) -> None:
    assert regex_problem(pattern) is None
    connection().execute("SELECT regexp_matches('x', ?)", [pattern]).fetchall()


alphabet = st.text(alphabet="ab1.*+?()[]{}|^$\\,-=:<!dwsbzZpuxQE ", min_size=1, max_size=10)


@settings(max_examples=400, deadline=None)
@given(alphabet)
@example(r"\Q")
@example(r"\pE")
def test_what_is_accepted_is_re2(pattern: str) -> None:
    if regex_problem(pattern) is None:
        try:
            connection().execute("SELECT regexp_matches('ab', ?)", [pattern]).fetchall()
        except duckdb.Error as error:
            pytest.fail(f"{pattern!r} passed the check, but RE2 says: {error}")


# --- strptime ---

FORMATS = [
    "%Y-%m-%d",
    "%d/%m/%y",
    "%d %b %Y",
    "%B %d, %Y",
    "%Y%m%d",
    "%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%I:%M %p",
    "%m-%d",
    "%a %d %b",
    "%j %Y",
    "100%% %y",
]


def _spoiled(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    piece = chance.choice("0123456789 -:/JanFebZ")
    return chance.choice(
        (
            text,
            text[:place] + piece + text[place + 1 :],
            text[:place] + text[place + 1 :],
            text[:place] + piece + text[place:],
        )
    )


def _python_reads(text: str, pattern: str) -> bool:
    try:
        datetime.strptime(text, pattern)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("pattern", FORMATS)
def test_strptime_is_python(pattern: str) -> None:
    chance = random.Random(pattern)
    moments = (
        datetime(
            chance.choice((1, 1900, 2000, 2024, 2100)),
            chance.randint(1, 12),
            chance.randint(1, 28),
            13,
            5,
            59,
            120,
            UTC,
        )
        for _ in range(300)
    )
    texts = [_spoiled(m.strftime(pattern), chance) for m in moments]
    texts += [t.replace("28", n) for t in texts[:40] for n in ("29", "30", "31")]
    ours = (
        connection().execute("SELECT regexp_matches(unnest(?), ?)", [texts, pattern_of(pattern)]).fetchall()
    )
    assert {t for t, (good,) in zip(texts, ours, strict=True) if good != _python_reads(t, pattern)} == set()
    assert {good for (good,) in ours} == {True, False}


@pytest.mark.parametrize(
    ("pattern", "reason"), [("%Q", "%Q is not known"), ("%Y%", "lone %"), ("%d %d", "twice")]
)
def test_formats_that_cannot_be_said(pattern: str, reason: str) -> None:
    with pytest.raises(UnknownDirective, match=reason):
        pattern_of(pattern)
