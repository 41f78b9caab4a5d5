"""How much the inbox takes at once, how often it tries again, and how long it keeps what it took."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from platform_assets.engine.spec import Spec

Seconds = Annotated[float, Field(gt=0)]


class InboxSpec(Spec):
    """``inbox:`` of a deployment file. A tick stays well under the 60 s that Dagster gives a sensor.

    ``batch_*`` bound one stored batch, ``apply_bytes`` what a run holds in memory at once. ``lease_seconds``: for how
    long a run's hold on its partition outlives it; queue leases are renewed as often as ``renew_seconds``.
    ``stuck_run_seconds``: a run that started so long ago and never ended no longer keeps others from starting.
    ``retention_days`` must exceed the time for which the queues redeliver.
    """

    batch_messages: Annotated[int, Field(ge=1, le=100_000)] = 2_000
    batch_bytes: Annotated[int, Field(ge=1_024)] = 16_000_000
    batch_seconds: Seconds = 5.0
    tick_seconds: Annotated[float, Field(gt=0, le=50)] = 40.0
    renew_seconds: Seconds = 20.0
    max_pending_batches: Annotated[int, Field(ge=1)] = 500
    max_run_requests: Annotated[int, Field(ge=1)] = 100
    apply_bytes: Annotated[int, Field(ge=1_024)] = 64_000_000
    lease_seconds: Annotated[int, Field(ge=10, le=43_200)] = 120
    stuck_run_seconds: Seconds = 3_600.0
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    retry_seconds: Seconds = 30.0
    max_retry_seconds: Seconds = 3_600.0
    retention_days: Annotated[int, Field(ge=1)] = 90
    minimum_interval_seconds: Annotated[int, Field(ge=1)] = 5
