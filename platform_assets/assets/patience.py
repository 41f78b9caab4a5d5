"""A run status sensor that cannot reach what it needs looks at the same run again later.

Dagster takes an exception of such a sensor for its last word on that run and goes on to the next one: what the sensor
had to write would never be written.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg

from platform_assets.assets.run_facts import in_utc
from platform_assets.engine.errors import RetryableError

PATIENCE = timedelta(minutes=15)  # so long one tenant's trouble may hold up what the others' runs have to say


class LookAgainError(dg.DagsterError):
    """Ends a sensor's tick as a failure before its cursor moves: Dagster lets its own errors through."""


@contextmanager
def looked_at_again(record: dg.RunRecord | None) -> Iterator[None]:
    """A ``RetryableError`` in here ends the tick, until the run has been over for ``PATIENCE``; then it is raised as it
    is, Dagster reports it and goes on. What was done for the run before is done again."""
    try:
        yield
    except RetryableError as error:
        if record is None or datetime.now(UTC) - _last_heard(record) > PATIENCE:
            raise
        raise LookAgainError(f"the run is looked at again: {error}") from error


def _last_heard(record: dg.RunRecord) -> datetime:
    moment = record.end_time or record.start_time
    return datetime.fromtimestamp(moment, UTC) if moment else in_utc(record.create_timestamp)
