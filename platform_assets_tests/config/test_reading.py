"""Whatever stands in a file, reading it gives a spec or problems that point into the file, never an exception."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.config.document import Document, parse_document
from platform_assets.config.json_schema import MODELS
from platform_assets.config.reading import nearest, one_of, read_spec
from platform_assets.engine.errors import Problem
from platform_assets.engine.tenancy import TenantSpec
from platform_assets_tests.config.tree import GOOD, REPORTING, SHOP

FILES = {
    "deployment": GOOD["deployments/local.yml"],
    "dq": GOOD[f"{SHOP}/dq.yml"],
    "pipeline": GOOD[f"{SHOP}/pipeline.yml"],
    "provider": GOOD["providers/shop.yml"],
    "tenant": GOOD["tenants/acme1281.yml"],
}
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 20)
    | st.floats(allow_nan=True)
    | st.sampled_from(["", "all", "type", "rest_api", "ingest", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "kind", "x", "path"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def document(text: str) -> Document:
    found = parse_document(text, "a.yml", [])
    assert found is not None
    return found


def places(value: Any, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(*at, key), *places(item, (*at, key))]]


def changed(value: Any, place: tuple[str | int, ...], junk: Any) -> Any:
    value = copy.deepcopy(value)
    inner = value
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = junk
    return value


@settings(max_examples=300)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_junk_anywhere_is_a_spec_or_a_problem(kind: str, data: st.DataObject) -> None:
    good = document(FILES[kind])
    place = data.draw(st.sampled_from(places(good.value)))
    value = changed(good.value, place, data.draw(JUNK))
    problems: list[Problem] = []
    spec = read_spec(MODELS[kind], Document("a.yml", value, good.lines), problems)
    assert (spec is None) == bool(problems)
    assert all(1 <= p.line <= FILES[kind].count("\n") + 1 for p in problems)
    assert all(p.reason and "\n" not in p.reason for p in problems)


@pytest.mark.parametrize("kind", sorted(FILES))
def test_every_key_of_a_good_file_is_missed_or_optional_but_never_a_crash(kind: str) -> None:
    good = document(FILES[kind])
    for place in places(good.value):
        value = copy.deepcopy(good.value)
        inner = value
        for part in place[:-1]:
            inner = inner[part]
        del inner[place[-1]]
        problems: list[Problem] = []
        spec = read_spec(MODELS[kind], Document("a.yml", value, good.lines), problems)
        assert (spec is None) == bool(problems), place


def told(model_text: str) -> list[tuple[int, str, str]]:
    problems: list[Problem] = []
    read_spec(TenantSpec, document(model_text), problems)
    return [(p.line, p.field, p.reason) for p in problems]


def test_the_alternatives_of_a_union_are_told_together() -> None:
    text = "tenant: acme\ndisplay_name: A\ncredentials:\n  - {id: a, provider: p, parameters: {x: 1.5}}\n"
    assert told(text) == [
        (
            4,
            "credentials[0].parameters.x",
            "must be text, not 1.5 or must be a whole number, not 1.5 or must be true or false, not 1.5"
            " or must be a list, not 1.5",
        )
    ]


def test_a_key_called_like_a_unions_member_is_still_a_key() -> None:
    text = GOOD[f"{REPORTING}/pipeline.yml"].replace("type: union", "type: union\n    union: 5")
    problems: list[Problem] = []
    read_spec(MODELS["pipeline"], document(text), problems)
    assert [(p.line, p.field) for p in problems] == [
        (text[: text.index("union: 5")].count("\n") + 1, "steps[0].union")
    ]


def test_long_values_are_cut() -> None:
    ((_, _, reason),) = told(f"tenant: acme\ndisplay_name: {json.dumps(['x' * 500])}\n")
    assert len(reason) < 100


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("opnai", ["openai", "anthropic"], "openai"),
        ("OPENAI", ["openai"], "openai"),
        ("zzz", ["openai"], None),
        ("x", [], None),
        ("currency", ["Currency", "curency"], "Currency"),
    ],
)
def test_nearest(name: str, known: list[str], found: str | None) -> None:
    assert nearest(name, known) == found


def test_one_of_is_sorted_and_cut() -> None:
    assert one_of(["b", "a"]) == "a, b"
    assert one_of(map(str, range(30)), most=2) == "0, 1, … (30 in all)"
