"""Regular expressions that BigQuery and DuckDB read the same way: RE2's language, searched anywhere in the text.

Refuses what RE2 has not (look-around, back-references, atomic groups, possessive repeats, conditionals), what only
Python writes (``\\Z``, ``\\uXXXX``, flags ``a L u x``), and repeats above RE2's limit of 1000.
Source: RE2 syntax page, BigQuery's REGEXP_CONTAINS.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_REFUSED = {
    codes.ASSERT: "look-ahead or look-behind",
    codes.ASSERT_NOT: "look-ahead or look-behind",
    codes.GROUPREF: "a back-reference",
    codes.GROUPREF_EXISTS: "a conditional group",
    codes.ATOMIC_GROUP: "an atomic group",
    codes.POSSESSIVE_REPEAT: "a possessive repeat",
}
_MAX_REPEAT = 1000
_FOREIGN = (
    (re.compile(r"(?<!\\)(?:\\\\)*\\Z"), r"\Z is Python's; write \z"),
    (re.compile(r"(?<!\\)(?:\\\\)*\\[uUN]"), r"\u, \U and \N are Python's; write \x{…}"),
    (re.compile(r"\(\?#"), "a comment group is not known to RE2"),
    (re.compile(r"\(\?[a-zA-Z]*[aLux]"), "only the flags i, m, s may be set"),
)
# RE2's own spellings, in words that Python's parser knows, so that the rest can be checked.
_TRANSLATED = (
    (re.compile(r"(?<!\\)((?:\\\\)*)\\z"), r"\1\\Z"),
    (re.compile(r"(?<!\\)((?:\\\\)*)\\x\{[0-9A-Fa-f]+\}"), r"\1x"),
    (re.compile(r"(?<!\\)((?:\\\\)*)\\[pP](?:\{\^?\w+\}|[CLMNPSZ])"), r"\1x"),
    (re.compile(r"\[:\^?\w+:\]"), "x"),
)


def regex_problem(pattern: str) -> str | None:
    """Why a pattern cannot be used, or ``None``."""
    foreign = next((reason for test, reason in _FOREIGN if test.search(pattern)), None)
    if foreign:
        return f"{pattern!r}: {foreign}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = parser.parse(_in_python(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        return f"{pattern!r} is not a regular expression: {error}"
    refused = next(_refused(parsed), None)
    return f"{pattern!r}: RE2 has no {refused}" if refused else None


def _in_python(pattern: str) -> str:
    for test, replacement in _TRANSLATED:
        pattern = test.sub(replacement, pattern)
    return pattern


def _refused(node: Any) -> Iterator[str]:
    """Walk Python's parse tree: lists of (code, argument), arguments nesting further lists."""
    if isinstance(node, parser.SubPattern):
        for code, argument in node.data:
            yield from _refused_item(code, argument)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _refused(item)


def _refused_item(code: Any, argument: Any) -> Iterator[str]:
    if code in _REFUSED:
        yield _REFUSED[code]
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        low, high, _ = argument
        if low > _MAX_REPEAT or (high is not codes.MAXREPEAT and high > _MAX_REPEAT):
            yield f"repeat above {_MAX_REPEAT}"
    yield from _refused(argument)
