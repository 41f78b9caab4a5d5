"""``strptime`` as a pattern: what Python reads with a format, said in regular expressions that RE2 knows.

Neither warehouse's own parser can be used: they disagree with Python, and with one another, about leading zeros,
spaces and names. Source of the patterns: Python's documentation of ``datetime.strptime``.
"""

from __future__ import annotations

import re

_NAMES = {
    "b": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "B": (
        *("january", "february", "march", "april", "may", "june"),
        *("july", "august", "september", "october", "november", "december"),
    ),
    "a": ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
    "A": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "p": ("am", "pm"),
}
_DIRECTIVES = {
    "Y": "[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9]",
    "y": "[0-9]{2}",
    "m": "1[0-2]|0[1-9]|[1-9]",
    "d": "3[0-1]|[1-2][0-9]|0[1-9]|[1-9]| [1-9]",
    "H": "2[0-3]|[0-1][0-9]|[0-9]",
    "I": "1[0-2]|0[1-9]|[1-9]",
    "M": "[0-5][0-9]|[0-9]",
    "S": "[0-5][0-9]|[0-9]",
    "f": "[0-9]{1,6}",
    "j": "36[0-6]|3[0-5][0-9]|[1-2][0-9][0-9]|0[1-9][0-9]|00[1-9]|[1-9][0-9]|0[1-9]|[1-9]",
    "z": "[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9](?::?[0-5][0-9](?:[.][0-9]{1,6})?)?|Z",
    **{directive: "|".join(sorted(names, key=len, reverse=True)) for directive, names in _NAMES.items()},
}
_SHORTHAND = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "D": "%m/%d/%y", "R": "%H:%M"}
_TOKEN = re.compile(r"%(.)|(\s+)|([^%\s]+)|(%)$")

# The calendar is regular: months of 31 days, of 30, February up to the 28th, and the 29th in leap years.
_LEAP = "0[48]|[2468][048]|[13579][26]"
_CALENDAR: tuple[tuple[tuple[int, ...], dict[str, str]], ...] = (
    ((1, 3, 5, 7, 8, 10, 12), {"m": "1[02]|0[13578]|[13578]"}),
    ((4, 6, 9, 11), {"m": "11|0[469]|[469]", "d": "30|[1-2][0-9]|0[1-9]|[1-9]| [1-9]"}),
    ((2,), {"m": "02|2", "d": "2[0-8]|1[0-9]|0[1-9]|[1-9]| [1-9]"}),
    ((2,), {"m": "02|2", "d": "29", "Y": f"[0-9]{{2}}(?:{_LEAP})|(?:{_LEAP})00", "y": f"00|{_LEAP}"}),
)


class UnknownDirective(ValueError):
    """A ``%`` directive that cannot be said as a pattern."""


def pattern_of(text: str) -> str:
    """The pattern of a ``strftime`` format, over the whole text. UnknownDirective lists what is known."""
    pieces = _pieces(text)
    directives = [d for d, _ in pieces if d]
    if len(set(directives)) != len(directives):
        raise UnknownDirective(f"{text!r} uses a directive twice")
    return f"^(?i:{'|'.join(_written(pieces, narrowed) for narrowed in _variants(set(directives)))})$"


def _variants(directives: set[str]) -> list[dict[str, str]]:
    """The calendar's cases as narrower patterns; one case where day and month do not meet."""
    if "d" not in directives or not directives & {"m", "b", "B"}:
        return [{}]
    # Without a year Python assumes 1900, which is no leap year.
    cases = _CALENDAR if directives & {"Y", "y"} else _CALENDAR[:3]
    return [{**patterns, **_named(months)} for months, patterns in cases]


def _named(months: tuple[int, ...]) -> dict[str, str]:
    return {d: "|".join(_NAMES[d][month - 1] for month in months) for d in ("b", "B")}


def _pieces(text: str) -> list[tuple[str | None, str]]:
    """(directive, None for plain text; its pattern) of each part of the format."""
    for short, long in _SHORTHAND.items():
        text = re.sub(rf"(?<!%)((?:%%)*)%{short}", rf"\g<1>{long}", text)
    pieces: list[tuple[str | None, str]] = []
    for directive, space, plain, dangling in _TOKEN.findall(text):
        if dangling:
            raise UnknownDirective(f"{text!r} ends with a lone %")
        pieces.append(_piece(directive, space, plain))
    return pieces


def _piece(directive: str, space: str, plain: str) -> tuple[str | None, str]:
    if space:
        return None, r"\s+"
    if plain or directive == "%":
        return None, re.sub(r"([\\.^$*+?(){}\[\]|])", r"\\\1", plain or "%")
    if directive not in _DIRECTIVES:
        known = " ".join(f"%{d}" for d in sorted({*_DIRECTIVES, *_SHORTHAND}))
        raise UnknownDirective(f"%{directive} is not known; known: {known} %%")
    return directive, _DIRECTIVES[directive]


def _written(pieces: list[tuple[str | None, str]], narrowed: dict[str, str]) -> str:
    return "".join(p if d is None else f"(?:{narrowed.get(d, p)})" for d, p in pieces)
