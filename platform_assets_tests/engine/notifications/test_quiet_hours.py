"""When a channel is not to be disturbed: over midnight, in its own timezone, through clock changes."""

from datetime import UTC, datetime

import pytest

from platform_assets.engine.notifications.quiet_hours import quiet_until
from platform_assets.engine.notifications.spec import QuietHours

NIGHT = QuietHours(start="22:00", end="07:00", timezone="Europe/Berlin")
LUNCH = QuietHours(start="12:00", end="13:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (NIGHT, "2026-01-10T20:59", None),
        (NIGHT, "2026-01-10T21:00", "2026-01-11T06:00"),
        (NIGHT, "2026-01-11T05:59", "2026-01-11T06:00"),
        (NIGHT, "2026-01-11T06:00", None),
        (NIGHT, "2026-07-10T20:00", "2026-07-11T05:00"),
        (NIGHT, "2026-03-28T22:00", "2026-03-29T05:00"),  # the clock goes forward that night
        (NIGHT, "2026-10-24T21:00", "2026-10-25T06:00"),  # and back
        (LUNCH, "2026-01-10T12:59:59", "2026-01-10T13:00"),
        (LUNCH, "2026-01-10T13:00", None),
        (None, "2026-01-10T12:30", None),
    ],
)
def test_quiet_until(quiet: QuietHours | None, now: str, until: str | None) -> None:
    assert quiet_until(quiet, at(now)) == (at(until) if until else None)
