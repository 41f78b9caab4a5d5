"""What a request template may say about its slice, and the rendering of it.

Owns the slice variables. Refuses names that do not exist (at validation and again at rendering) and
everything a sandbox refuses; no clock and no secret is reachable from a template.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any

from platform_assets.engine.errors import ConfigError

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

_DATES = ("run_date", "next_date", "month_start", "month_end", "next_month")
VARIABLE_NAMES: tuple[str, ...] = (
    *(name + suffix for name in _DATES for suffix in ("", "_unix", "_rfc3339")),
    "tenant",
    "credential",
    "parameters",
)


@dataclass(frozen=True)
class TemplateProblem:
    """Why a template cannot be rendered, and the nearest name that could."""

    reason: str
    nearest: str | None = None


def slice_variables(
    run_date: date, *, tenant: str, credential: str, parameters: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Values of every slice variable. Days are UTC; ``next_date`` is the day after ``run_date``.

    ``month_end`` is the last day of the month, ``next_month`` the first day after it; dates are ISO text,
    ``…_unix`` whole seconds at midnight UTC, ``…_rfc3339`` like ``2026-01-31T00:00:00Z``.
    """
    month_start = run_date.replace(day=1)
    next_month = (month_start + timedelta(days=32)).replace(day=1)
    days = (run_date, run_date + timedelta(days=1), month_start, next_month - timedelta(days=1), next_month)
    values: dict[str, Any] = {}
    for name, day in zip(_DATES, days, strict=True):
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        values[name] = day.isoformat()
        values[f"{name}_unix"] = int(midnight.timestamp())
        values[f"{name}_rfc3339"] = midnight.strftime("%Y-%m-%dT%H:%M:%SZ")
    return values | {"tenant": tenant, "credential": credential, "parameters": dict(parameters or {})}


def render(text: str, variables: Mapping[str, Any]) -> str:
    """``"{{ run_date }}"`` → ``"2026-01-31"``. ConfigError: unknown name, or broken template."""
    if "{" not in text:
        return text
    try:
        return _environment().from_string(text).render(variables)
    except Exception as error:  # an expression in a template can raise anything
        raise ConfigError(f"cannot render {text!r}: {error}") from None


def check_template(text: str, parameters: Collection[str] | None = None) -> tuple[TemplateProblem, ...]:
    """What is wrong with a template; empty when nothing is.

    ``parameters`` are the known ``parameters.<name>``; None accepts any."""
    if "{" not in text:
        return ()
    from jinja2 import TemplateSyntaxError, meta

    try:
        tree = _environment().parse(text)
    except TemplateSyntaxError as error:
        return (TemplateProblem(f"template {text!r} is malformed: {error.message}"),)
    unknown = sorted(meta.find_undeclared_variables(tree) - set(VARIABLE_NAMES))
    problems = [_unknown(name, VARIABLE_NAMES) for name in unknown]
    used = parameter_names(text)
    if parameters is not None:
        problems += [
            _unknown(f"parameters.{n}", [f"parameters.{p}" for p in parameters])
            for n in used
            if n not in parameters
        ]
    return tuple(problems)


def parameter_names(text: str) -> tuple[str, ...]:
    """The ``parameters.<name>`` a template reads, sorted."""
    from jinja2 import nodes

    found = set()
    tree = _environment().parse(text)
    for attribute in tree.find_all(nodes.Getattr):
        if isinstance(attribute.node, nodes.Name) and attribute.node.name == "parameters":
            found.add(attribute.attr)
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.node, nodes.Name) and item.node.name == "parameters":
            found.add(_constant(item.arg))
    return tuple(sorted(name for name in found if name))


def _constant(node: Any) -> str:
    value = getattr(node, "value", "")
    return value if isinstance(value, str) else ""


def _unknown(name: str, known: Collection[str]) -> TemplateProblem:
    nearest = get_close_matches(name, sorted(known), n=1)
    return TemplateProblem(f"unknown variable {name!r}", nearest[0] if nearest else None)


@cache
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
