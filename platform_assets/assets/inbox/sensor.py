"""The Dagster side of a queue: a sensor that lands messages in the inbox and asks for the runs that apply them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from platform_assets.assets.inbox.store import Inbox
from platform_assets.assets.inbox.tick import Router, Tick, run_tick
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.inbox.state import backoff_seconds
from platform_assets.resources.adapter import AdapterResource

SOURCE_TAG = "inbox/source"
PARTITION_TAG = "inbox/partition"
BATCH_TAG = "inbox/batch"
ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class QueueSource:
    """One queue and what its messages mean. ``tags`` adds a partition's own run tags (its tenant)."""

    name: str
    queue_resource: str
    route: Router
    target: Any  # an asset selection or job
    dynamic_partitions: dg.DynamicPartitionsDefinition | None = None
    tags: Callable[[str], Mapping[str, str]] = lambda partition: {}


def queue_sensor(source: QueueSource, spec: InboxSpec, *, enabled: bool) -> dg.SensorDefinition:
    """A sensor for ``source``. Each tick first offers again what is still unapplied, so a lost run request, a failed
    run or a killed daemon delays messages and never loses them."""

    @dg.sensor(
        name=f"{source.name}_sensor",
        target=source.target,
        minimum_interval_seconds=spec.minimum_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if enabled else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={"object_store", source.queue_resource},
        description=f"{source.name}: queue → inbox → ack → one run per partition with unapplied messages.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        inbox = Inbox(_adapter(context, "object_store"), source.name)
        done = run_tick(
            inbox, _adapter(context, source.queue_resource), source.route, spec, now=lambda: datetime.now(UTC)
        )
        requests = list(_requests(context.instance, source, spec, done))
        context.log.info(_told(done, len(requests)))
        if not requests:
            return dg.SkipReason(_told(done, 0))
        return dg.SensorResult(
            run_requests=requests,
            dynamic_partitions_requests=_new_partitions(context.instance, source, requests),
        )

    return tick


def _adapter(context: dg.SensorEvaluationContext, key: str) -> Any:
    resource = getattr(context.resources, key)
    assert isinstance(resource, AdapterResource), f"{key} is an AdapterResource"
    return resource.adapter()


def _told(tick: Tick, requests: int) -> str:
    return (
        f"{tick.received} received, {tick.quarantined} quarantined, {tick.batches} batches; "
        f"{len(tick.waiting)} partitions wait, {requests} runs requested; stopped by {tick.stopped_by}"
    )


def _requests(
    instance: dg.DagsterInstance, source: QueueSource, spec: InboxSpec, tick: Tick
) -> Iterator[dg.RunRequest]:
    """One request per waiting partition that has no run in progress and is not backing off from failures."""
    busy = _busy_partitions(instance, source)
    room = max(spec.max_run_requests - len(busy), 0)
    for partition, (batch, _) in tick.waiting.items():
        if room == 0:
            return
        if partition in busy:
            continue
        attempt = _attempt(instance, source, spec, partition)
        if attempt is None:
            continue
        room -= 1
        # A failed run blocks its run key for ever, so the key counts attempts.
        yield dg.RunRequest(
            run_key=f"{source.name}:{partition}:{batch}:{attempt}",
            partition_key=partition,
            tags={
                SOURCE_TAG: source.name,
                PARTITION_TAG: partition,
                BATCH_TAG: batch,
                **source.tags(partition),
            },
        )


def _busy_partitions(instance: dg.DagsterInstance, source: QueueSource) -> set[str]:
    records = instance.get_run_records(dg.RunsFilter(tags={SOURCE_TAG: source.name}, statuses=ACTIVE))
    return {record.dagster_run.tags.get(PARTITION_TAG, "") for record in records}


def _attempt(
    instance: dg.DagsterInstance, source: QueueSource, spec: InboxSpec, partition: str
) -> int | None:
    """How many runs this partition has had; None while it waits after failures."""
    tags = {SOURCE_TAG: source.name, PARTITION_TAG: partition}
    latest = instance.get_run_records(dg.RunsFilter(tags=tags), limit=spec.max_attempts)
    failed = _failures_in_a_row([record.dagster_run.status for record in latest])
    if failed:
        ended = datetime.fromtimestamp(latest[0].end_time or latest[0].update_timestamp.timestamp(), UTC)
        if datetime.now(UTC) < ended + timedelta(seconds=backoff_seconds(failed, spec)):
            return None
    return instance.get_runs_count(dg.RunsFilter(tags=tags))


def _failures_in_a_row(statuses: Sequence[dg.DagsterRunStatus]) -> int:
    """Newest first: how many runs have failed since one succeeded."""
    count = 0
    for status in statuses:
        if status is not dg.DagsterRunStatus.FAILURE:
            break
        count += 1
    return count


def _new_partitions(
    instance: dg.DagsterInstance, source: QueueSource, requests: Sequence[dg.RunRequest]
) -> list[dg.AddDynamicPartitionsRequest]:
    if source.dynamic_partitions is None:
        return []
    name = source.dynamic_partitions.name
    assert name is not None, "a dynamic partitions definition has a name"
    known = set(instance.get_dynamic_partitions(name))
    new = sorted({r.partition_key for r in requests if r.partition_key and r.partition_key not in known})
    return [source.dynamic_partitions.build_add_request(new)] if new else []
