"""Slice variables and templates."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.ingestion.variables import (
    VARIABLE_NAMES,
    check_template,
    parameter_names,
    render,
    slice_variables,
)


def variables(day: date = date(2024, 2, 29), **parameters: object) -> dict[str, object]:
    return slice_variables(day, tenant="acme1281", credential="default", parameters=parameters)


def test_a_leap_day_in_every_form() -> None:
    values = variables()
    assert values["run_date"] == "2024-02-29"
    assert values["next_date"] == "2024-03-01"
    assert values["month_start"] == "2024-02-01"
    assert values["month_end"] == "2024-02-29"
    assert values["next_month"] == "2024-03-01"
    assert values["run_date_unix"] == 1_709_164_800
    assert values["run_date_rfc3339"] == "2024-02-29T00:00:00Z"
    assert set(values) == set(VARIABLE_NAMES)


@given(st.dates(date(1971, 1, 1), date(2199, 12, 30)))
def test_days_and_months_are_half_open_and_in_step(day: date) -> None:
    values = variables(day)
    assert int(values["next_date_unix"]) - int(values["run_date_unix"]) == 86_400
    assert values["month_start"] <= values["run_date"] <= values["month_end"] < values["next_month"]
    assert datetime.fromtimestamp(int(values["run_date_unix"]), UTC).date() == day
    assert date.fromisoformat(values["month_end"]) + timedelta(days=1) == date.fromisoformat(
        values["next_month"]
    )


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{ run_date_unix }}", "1709164800"),
        ("{{ tenant }}/{{ credential }}", "acme1281/default"),
        ("{{ parameters.account }}", "42"),
        ("{{ parameters['account'] }}", "42"),
        ("{% if run_date == month_end %}last{% endif %}", "last"),
    ],
)
def test_rendering(template: str, text: str) -> None:
    assert render(template, variables(account=42)) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ run_dat }}",
        "{{ parameters.nothing }}",
        "{{ run_date",
        "{{ ''.__class__.__mro__ }}",
        "{{ tenant.__init__.__globals__ }}",
        "{% include 'x' %}",
        "{{ 1 // 0 }}",
    ],
)
def test_what_cannot_be_rendered_is_a_config_error(template: str) -> None:
    with pytest.raises(ConfigError, match="cannot render"):
        render(template, variables())


@pytest.mark.parametrize(
    ("template", "nearest"),
    [("{{ run_dat }}", "run_date"), ("{{ next_date_unx }}", "next_date_unix"), ("{{ zzzz }}", None)],
)
def test_unknown_names_are_found_before_anything_runs(template: str, nearest: str | None) -> None:
    (problem,) = check_template(template)
    assert problem.nearest == nearest
    assert "unknown variable" in problem.reason


def test_known_parameters_are_checked_where_they_are_known() -> None:
    assert check_template("{{ parameters.acount }}") == ()
    (problem,) = check_template("{{ parameters.acount }}", ["account", "region"])
    assert problem.nearest == "parameters.account"
    assert parameter_names("{{ parameters.a }} {{ parameters['b'] }} {{ run_date }}") == ("a", "b")


def test_a_malformed_template_is_one_problem() -> None:
    (problem,) = check_template("{{ run_date")
    assert "malformed" in problem.reason
