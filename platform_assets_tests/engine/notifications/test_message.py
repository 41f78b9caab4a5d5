"""Templates: what is wrong with one is found when it is read, and none gets out of its sandbox."""

import pytest

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.notifications.events import Severity
from platform_assets.engine.notifications.message import Template, check_template, render
from platform_assets.engine.notifications.occurrence import Job
from platform_assets_tests.assets.notifications.rig import START, occurrence


def test_unknown_variables_and_broken_syntax_are_found() -> None:
    (problem,) = check_template("hello\n{{ tenent }}")
    assert (problem.line, problem.nearest) == (2, "tenant")
    (problem,) = check_template("one\n{% if %}")
    assert problem.line == 2 and "malformed" in problem.reason
    assert check_template("{{ subject }} {% for o in occurrences %}{{ o.title }}{% endfor %}") == ()


@pytest.mark.parametrize("source", ["{{ details.nothing }}", "{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}"])
def test_a_template_that_fails_is_an_error_of_the_configuration(source: str) -> None:
    with pytest.raises(ConfigError, match="cannot be rendered"):
        render([Job(occurrence(), "slack", START)], Severity.ERROR, Template(text=source))


def test_sections_are_told() -> None:
    job = Job(occurrence(sections=(("Top <b>", ("openai 10.00 USD",)),)), "slack", START)
    message = render([job], Severity.INFO)
    assert "Top <b>\n- openai 10.00 USD" in message.text
    assert "<h3>Top &lt;b&gt;</h3>" in message.html
