"""From a document to a frozen spec: pydantic's errors become problems with line, field and plain reason.

Validation is strict (``"5"`` is not a number, ``true`` is not 1), except where values come from the
environment, which knows only text.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from platform_assets.config.document import Document, Location
from platform_assets.engine.errors import Problem
from platform_assets.engine.spec import Spec

S = TypeVar("S", bound=Spec)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like a wrong one, or None where nothing comes close."""
    by_lower = {k.lower(): k for k in sorted(known)}
    close = difflib.get_close_matches(str(name).lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def one_of(known: Iterable[str], *, most: int = 20) -> str:
    """``a, b, c``, cut where the list is long."""
    names = sorted(known)
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")


def read_spec(
    model: type[S], document: Document, problems: list[Problem], *, strict: bool = True
) -> S | None:
    """Validate a whole document as ``model``; every error goes to ``problems``."""
    if not isinstance(document.value, dict):
        problems.append(document.problem((), f"must be a mapping of {one_of(model.model_fields)}"))
        return None
    try:
        return model.model_validate(document.value, strict=strict)
    except ValidationError as error:
        problems.extend(_problems(model, document, error))
        return None


def _problems(model: type[Spec], document: Document, error: ValidationError) -> list[Problem]:
    """One problem per place: the alternatives of a union that all failed are told together."""
    reasons: dict[tuple[Location, bool], list[tuple[str, str | None]]] = {}
    for detail in error.errors(include_url=False):
        place, whole = _place(document.value, detail["loc"], missing=detail["type"] == "missing")
        reasons.setdefault((place, whole), []).append(_reason(model, detail))
    return [
        document.problem(place, " or ".join(dict.fromkeys(r for r, _ in told)), _first(n for _, n in told))
        for (place, _), told in reasons.items()
    ]


def _first(names: Iterable[str | None]) -> str | None:
    return next((name for name in names if name), None)


def _place(value: Any, location: Location, *, missing: bool) -> tuple[Location, bool]:
    """The part of pydantic's location that stands in the file: union tags and type names are left out.

    The flag is true where the location was followed to its end.
    """
    place: Location = ()
    for index, part in enumerate(location):
        if part == "[key]":
            continue
        if _is_tag(value, part, place, location[:index]):
            continue
        if (isinstance(value, dict) and part in value) or _has_index(value, part):
            place, value = (*place, part), value[part]
        elif missing and index == len(location) - 1:
            return (*place, part), True
        else:
            return place, False
    return place, True


def _is_tag(value: Any, part: str | int, place: Location, before: Location) -> bool:
    """True for the name of a union's member, which pydantic puts after the place of a tagged value."""
    just_seen = len(before) > 0 and place[-1:] != before[-1:]
    return isinstance(value, dict) and not just_seen and bool(place) and value.get("type") == part


def _has_index(value: Any, part: str | int) -> bool:
    return isinstance(value, list) and isinstance(part, int) and part < len(value)


# --- Reasons ------------------------------------------------------------------------------------------


def _reason(model: type[Spec], detail: Mapping[str, Any]) -> tuple[str, str | None]:
    """(plain reason, nearest valid name) of one pydantic error."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown_key(model, detail["loc"])
    if kind in _CHOICES:
        return _wrong_choice(detail)
    told = _REASONS.get(kind)
    return (told(detail) if told else str(detail["msg"]).removeprefix("Value error, ")), None


def _unknown_key(model: type[Spec], location: Location) -> tuple[str, str | None]:
    known = _fields_at(model, location[:-1])
    reason = f"is not known here; known: {one_of(known)}" if known else "is not known here"
    return reason, nearest(str(location[-1]), known)


def _wrong_choice(detail: Mapping[str, Any]) -> tuple[str, str | None]:
    context = detail.get("ctx", {})
    known = re.findall(r"'([^']*)'", str(context.get("expected_tags") or context.get("expected") or ""))
    given = context.get("tag", detail.get("input"))
    given = given.get("type") if isinstance(given, dict) else given
    return f"must be one of {one_of(known)}, not {_shown(given)}", nearest(str(given), known)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _want(what: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda detail: f"must be {what}, not {_shown(detail['input'])}"


def _limit(sign: str, key: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda detail: f"must be {sign} {detail['ctx'][key]}, not {_shown(detail['input'])}"


_CHOICES = frozenset({"literal_error", "enum", "union_tag_invalid"})
_REASONS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is missing",
    "union_tag_not_found": lambda _: "needs a type",
    "string_type": _want("text"),
    "int_type": _want("a whole number"),
    "int_parsing": _want("a whole number"),
    "int_from_float": _want("a whole number"),
    "float_type": _want("a number"),
    "float_parsing": _want("a number"),
    "finite_number": _want("a finite number"),
    "bool_type": _want("true or false"),
    "bool_parsing": _want("true or false"),
    "date_type": _want("a date (2026-01-31)"),
    "date_from_datetime_parsing": _want("a date (2026-01-31)"),
    "date_parsing": _want("a date (2026-01-31)"),
    "list_type": _want("a list"),
    "dict_type": _want("a mapping"),
    "model_type": _want("a mapping"),
    "model_attributes_type": _want("a mapping"),
    "string_pattern_mismatch": lambda d: f"{_shown(d['input'])} does not match {d['ctx']['pattern']}",
    "too_short": lambda d: f"needs at least {d['ctx']['min_length']} item(s)",
    "too_long": lambda d: f"takes at most {d['ctx']['max_length']} item(s)",
    "string_too_short": lambda d: f"needs at least {d['ctx']['min_length']} character(s)",
    "string_too_long": lambda d: f"takes at most {d['ctx']['max_length']} character(s)",
    "greater_than_equal": _limit("at least", "ge"),
    "greater_than": _limit("more than", "gt"),
    "less_than_equal": _limit("at most", "le"),
    "less_than": _limit("less than", "lt"),
}


# --- Which names a place would take -------------------------------------------------------------------


def _fields_at(model: type[Spec], location: Location) -> tuple[str, ...]:
    """The field names of the model at a pydantic location."""
    current: Any = model
    for part in location:
        current = _step(current, part)
    found = [t for t in _alternatives(current) if isinstance(t, type) and issubclass(t, Spec)]
    return tuple(dict.fromkeys(name for spec in found for name in spec.model_fields))


def _step(annotation: Any, part: str | int) -> Any:
    """The annotation one step further: a union's member by its tag, a field, or an item."""
    members = _alternatives(annotation)
    tagged = [m for m in members if part in _tags(m)]
    if tagged:
        return tagged[0]
    for member in members:
        if isinstance(member, type) and issubclass(member, Spec) and part in member.model_fields:
            return member.model_fields[str(part)].annotation
        if get_origin(member) in (list, dict, Mapping, tuple):
            return get_args(member)[-1]
    return annotation


def _alternatives(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [a for arg in get_args(annotation) for a in _alternatives(arg)]
    return [annotation]


def _tags(annotation: Any) -> tuple[Any, ...]:
    field = annotation.model_fields.get("type") if _is_spec(annotation) else None
    return typing.get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()


def _is_spec(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Spec)
