"""``${VAR}`` and ``${VAR:-default}`` in deployment files, filled from the environment that the caller gives.

An unset (or empty) variable without a default is a problem, never an empty text. There is no nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from platform_assets.config.document import Document, Location
from platform_assets.config.reading import nearest
from platform_assets.config.safety import texts
from platform_assets.engine.errors import Problem

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")


def unfilled(document: Document) -> Iterator[Problem]:
    """A problem for every placeholder in a file whose placeholders nobody fills."""
    for at, text in texts(document.value):
        if "${" in text:
            yield document.problem(at, f"{text!r} would stay as it is: only deployment files take ${{NAME}}")


def fill(document: Document, environment: Mapping[str, str], problems: list[Problem]) -> Document:
    """The document with every placeholder replaced; lines stay."""

    def value_at(value: Any, at: Location) -> Any:
        if isinstance(value, dict):
            return {key: value_at(item, (*at, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [value_at(item, (*at, index)) for index, item in enumerate(value)]
        return text_at(value, at) if isinstance(value, str) and "${" in value else value

    def text_at(text: str, at: Location) -> str:
        if "${" in _PLACEHOLDER.sub("", text):
            problems.append(document.problem(at, f"{text!r} has a malformed placeholder; write ${{NAME}}"))
            return text
        return _PLACEHOLDER.sub(lambda match: one(match, at), text)

    def one(match: re.Match[str], at: Location) -> str:
        name, default = match.groups()
        found = environment.get(name) or default
        if found is None:
            known = [n for n in environment if n.startswith("PLATFORM_")]
            reason = f"the environment variable {name} is not set and has no default here"
            problems.append(document.problem(at, reason, nearest(name, known)))
        return found or ""

    return Document(document.file, value_at(document.value, ()), document.lines)
