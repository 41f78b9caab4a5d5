"""When a channel is not to be disturbed."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from platform_assets.engine.notifications.spec import QuietHours


def quiet_until(quiet: QuietHours | None, now: datetime) -> datetime | None:
    """The end of the quiet hours that ``now`` lies in, or None. Local time, so an hour that a clock change skips or
    repeats is quiet where the clock on the wall says so."""
    if quiet is None:
        return None
    zone = ZoneInfo(quiet.timezone)
    local = now.astimezone(zone)
    start, end = time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)
    at = local.time().replace(microsecond=0)
    inside = start <= at < end if start < end else at >= start or at < end
    if not inside:
        return None
    day = local.date() + timedelta(days=1 if end <= start and at >= start else 0)
    return datetime.combine(day, end, zone).astimezone(now.tzinfo)
