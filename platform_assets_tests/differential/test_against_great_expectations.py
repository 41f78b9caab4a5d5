"""The same verdicts and counts as Great Expectations, except where a named reason says otherwise."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets_tests.differential.cases import cases
from platform_assets_tests.differential.comparison import Difference, compare
from platform_assets_tests.differential.differences import RULES, rule_for
from platform_assets_tests.differential.environment import HOW, installed

pytestmark = pytest.mark.skipif(
    "TEST_GE" not in os.environ, reason="takes a minute; run it with: make test-ge"
)


@pytest.fixture(scope="module")
def differences() -> Iterator[list[Difference]]:
    assert installed(), f"no environment with Great Expectations; {HOW}"
    found, compared = compare()
    assert compared > 2500
    yield found


def test_every_difference_has_a_reason(differences: list[Difference]) -> None:
    assert [str(d) for d in differences if rule_for(d) is None] == []


def test_every_reason_is_still_needed_and_documented(differences: list[Difference]) -> None:
    used = Counter(rule.name for d in differences if (rule := rule_for(d)) is not None)
    documented = (Path(__file__).parents[2] / "docs" / "quality.md").read_text()
    assert [rule.name for rule in RULES if not used[rule.name]] == []
    assert [rule.name for rule in RULES if f"`{rule.name}`" not in documented] == []


def test_the_comparison_covers_the_catalogue() -> None:
    assert len({case.type for case in cases()}) >= 50
