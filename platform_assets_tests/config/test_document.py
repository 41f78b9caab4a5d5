"""Any text at all is read or refused with a line; what is read is what was written."""

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.config.document import (
    Document,
    Location,
    field_path,
    parse_document,
    read_document,
    read_json_document,
)
from platform_assets.engine.errors import Problem

KEYS = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=5)
SCALARS = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(st.characters(codec="ascii"))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


def parsed(text: str) -> Document:
    problems: list[Problem] = []
    document = parse_document(text, "a.yml", problems)
    assert document is not None, problems
    return document


def value(text: str) -> Any:
    return parsed(f"a: {text}").value["a"]


@given(st.dictionaries(KEYS, VALUES, min_size=1))
def test_json_is_read_as_json(content: dict[str, Any]) -> None:
    assert parsed(json.dumps(content)).value == content


@given(st.dictionaries(KEYS, VALUES, min_size=1))
def test_every_key_knows_its_line(content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=1)
    document = parsed(text)
    lines = text.splitlines()
    for place in places(content):
        if isinstance(place[-1], str):
            assert lines[document.line(place) - 1].lstrip().startswith(json.dumps(place[-1]) + ":")


def places(value: Any, at: Location = ()) -> list[Location]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(*at, key), *places(item, (*at, key))]]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    problems: list[Problem] = []
    document = parse_document(text, "a.yml", problems)
    assert (document is None) == bool(problems)
    assert all(1 <= problem.line <= text.count("\n") + 2 for problem in problems)


@given(st.text(st.sampled_from("[]{}:-,&*!|>'\"%@`#?\n ab1"), max_size=60))
def test_any_yaml_like_text_is_read_or_refused(text: str) -> None:
    problems: list[Problem] = []
    assert (parse_document(text, "a.yml", problems) is None) == bool(problems)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("yes", "yes"),
        ("off", "off"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", "0o17"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("~", None),
        ("null", None),
        ("", None),
        ("True", True),
        ('"true"', "true"),
        ("'5'", "5"),
        ("2026-01-31", date(2026, 1, 31)),
        ("2026-02-30", "2026-02-30"),
        ("2026-01-31 10:00:00", "2026-01-31 10:00:00"),
        ("=", "="),
        ("1.2.3", "1.2.3"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, meaning: Any) -> None:
    found = value(text)
    assert (found, type(found)) == (meaning, type(meaning))


def test_not_a_number() -> None:
    assert math.isnan(value(".nan"))


def test_block_texts_keep_their_lines() -> None:
    document = parsed("a: |\n  one\n  two\nb: 1\n")
    assert document.value == {"a": "one\ntwo\n", "b": 1}
    assert document.line(("b",)) == 4


def test_a_place_that_is_not_there_has_the_line_of_what_encloses_it() -> None:
    document = parsed("a:\n  b:\n    - c: 1\n")
    assert document.line(("a", "b", 0, "missing", "deeper")) == 3


def test_field_path() -> None:
    assert field_path(("steps", 0, "source", "columns", "a")) == "steps[0].source.columns.a"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    problems: list[Problem] = []
    assert read_document(tmp_path / "no.yml", "no.yml", problems) is None
    assert "cannot be read: No such file" in problems[0].reason


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    document = read_document(tmp_path / "a.yml", "a.yml", [])
    assert document is not None
    assert document.value == {"a": 1}


def test_many_errors_of_structure_are_told_together() -> None:
    problems: list[Problem] = []
    parse_document("a: 1\na: 2\n5: x\nb: {c: 1, c: 2}\n", "a.yml", problems)
    assert [(p.line, p.field) for p in problems] == [(2, "a"), (3, ""), (4, "b.c")]


def json_problems(tmp_path: Path, text: str) -> list[Problem]:
    (tmp_path / "a.json").write_text(text)
    problems: list[Problem] = []
    assert (read_json_document(tmp_path / "a.json", "a.json", problems) is None) == bool(problems)
    return problems


def test_json_lines_come_when_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[\n\t{"name": "a"},\n\t{"name": "b"}\n]')
    document = read_json_document(tmp_path / "a.json", "a.json", [])
    assert document is not None
    assert document.line((1, "name")) == 3
    assert len(document.lines) == len(list(document.lines)) == 5


def test_json_that_is_wrong(tmp_path: Path) -> None:
    assert json_problems(tmp_path, "[1,\n]")[0].line == 2
    assert json_problems(tmp_path, "[" * 100_000)[0].reason == "is nested too deep"
    assert json_problems(tmp_path, '{\n"a": 1,\n"a": 2}')[0].line == 3
    assert json_problems(tmp_path, '{"a": 1}') == []
