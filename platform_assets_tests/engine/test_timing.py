"""When runs are asked for: tenants' own times, spread ticks, gaps, backoff. All of it the same in every process."""

from datetime import date, timedelta
from typing import Any

import pytest

from platform_assets.engine.cron import spread
from platform_assets.engine.errors import ConfigError
from platform_assets.engine.ingestion.spec import PipelineSpec, RunRetry
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.engine.timing import delay, gaps, offset, timings

DAY = date(2026, 11, 1)


def pipeline(**schedule: Any) -> PipelineSpec:
    step = {"step_id": "s", "type": "transform", "sql_file": "s.sql", "contributes_to": "silver_x.y"}
    return PipelineSpec.model_validate(
        {
            "pipeline_id": "p",
            "provider": "x",
            "domain": "cost",
            "schedule": {"cron": "30 7 * * *", **schedule},
            "steps": [step],
        }
    )


def tenant(name: str, **own: Any) -> TenantSpec:
    return TenantSpec.model_validate(
        {"tenant": name, "display_name": name, "schedules": {"p": own} if own else {}}
    )


def test_a_tenants_own_time_replaces_the_pipelines_for_it_alone() -> None:
    usual, own, off = timings(
        pipeline(timezone="Europe/Berlin", priority=2),
        [
            tenant("aaa"),
            tenant("bbb", cron="0 5 * * *", timezone="UTC", priority=9),
            tenant("ccc", enabled=False),
        ],
    )
    assert ([t.tenant for t in usual.tenants], usual.cron, usual.own) == (["aaa"], "30 7 * * *", False)
    assert (own.cron, own.timezone, own.priority, own.enabled, own.own) == ("0 5 * * *", "UTC", 9, True, True)
    assert (off.cron, off.timezone, off.priority, off.enabled) == ("30 7 * * *", "Europe/Berlin", 2, False)


@pytest.mark.parametrize(
    ("cron", "minutes", "spreaded"),
    [("30 7 * * *", 0, "30 7 * * *"), ("30 7 * * *", 29, "30-59 7 * * *"), ("@daily", 0, "@daily")],
)
def test_a_spread_cron(cron: str, minutes: int, spreaded: str) -> None:
    assert spread(cron, minutes) == spreaded


@pytest.mark.parametrize("cron", ["30 7 * * *", "*/5 * * * *", "@daily", "1,2 * * * *"])
def test_what_cannot_be_spread(cron: str) -> None:
    with pytest.raises(ConfigError, match="cannot be spread over 30 minutes"):
        spread(cron, 30)


def test_tenants_take_all_minutes_and_keep_theirs() -> None:
    minutes = [offset("p", f"tenant{n}", 9) for n in range(500)]
    assert set(minutes) == set(range(10))
    assert minutes == [offset("p", f"tenant{n}", 9) for n in range(500)]


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ([], [(0, 9)]),
        (range(10), []),
        ([0, 1, 5, 9], [(2, 4), (6, 8)]),
        ([3], [(0, 2), (4, 9)]),
    ],
)
def test_gaps(there: list[int], found: list[tuple[int, int]]) -> None:
    days = {DAY + timedelta(days=n) for n in there}
    stretches = gaps(DAY, DAY + timedelta(days=9), days)
    assert [((a - DAY).days, (b - DAY).days) for a, b in stretches] == found


def test_no_gap_before_the_first_day() -> None:
    assert list(gaps(DAY, DAY - timedelta(days=1), set())) == []


def test_backoff_doubles_to_its_cap_and_is_never_the_same_for_two() -> None:
    policy = RunRetry(max_attempts=9, backoff_seconds=60, max_backoff_seconds=600)
    for attempt, longest in ((1, 60), (2, 120), (3, 240), (4, 480), (5, 600), (9, 600)):
        seconds = [delay(policy, attempt, f"run{n}").total_seconds() for n in range(200)]
        assert longest / 2 <= min(seconds) and max(seconds) <= longest
        assert len(set(seconds)) > 100
    assert delay(policy, 2, "run1") == delay(policy, 2, "run1")
