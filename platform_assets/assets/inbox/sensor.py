"""The Dagster side of a queue: a sensor that lands messages in the inbox and asks for the runs that apply them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import dagster as dg

from platform_assets.assets.inbox.apply import Application, Step, no_step
from platform_assets.assets.inbox.store import Inbox
from platform_assets.assets.inbox.tick import Offer, Router, Tick, run_tick
from platform_assets.engine.inbox.model import Dead
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.inbox.state import backoff_seconds
from platform_assets.resources.adapter import AdapterResource

SOURCE_TAG = "inbox/source"
PARTITION_TAG = "inbox/partition"
BATCH_TAG = "inbox/batch"
REPLAY_TAG = "inbox/replay"
NOT_ENDED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.MANAGED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
FAILED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass(frozen=True)
class QueueSource:
    """One queue and what its messages mean. ``partitions`` are those of ``target``; dynamic ones are added as their
    first message comes. ``tags`` adds a partition's own run tags (its tenant). Messages of ``suspended`` tenants are
    kept and wait: no run is asked for until they are resumed."""

    name: str
    queue_resource: str
    route: Router
    target: Any  # an asset selection or job
    partitions: dg.PartitionsDefinition
    tags: Callable[[str], Mapping[str, str]] = lambda partition: {}
    suspended: frozenset[str] = frozenset()


@cache
def inbox_of(store: Any, source: str) -> Inbox:
    """One per process: adapters live as long."""
    return Inbox(store, source)


def queue_sensor(
    source: QueueSource, spec: InboxSpec, *, enabled: bool, step: Step = no_step
) -> dg.SensorDefinition:
    """A sensor for ``source``. Each tick offers again what is still unapplied, so a lost run request, a failed run or
    a killed daemon delays messages and never loses them. It keeps no cursor: the inbox is the memory."""

    @dg.sensor(
        name=f"{source.name}_sensor",
        target=source.target,
        minimum_interval_seconds=spec.minimum_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if enabled else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={"object_store", source.queue_resource},
        description=f"{source.name}: queue → inbox → ack → one run per partition with unapplied messages.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        inbox = inbox_of(_adapter(context, "object_store"), source.name)
        queue = _adapter(context, source.queue_resource)
        done = run_tick(inbox, queue, source.route, spec, now=_now, step=step)
        return evaluate(context, source, inbox, done, spec)

    return tick


def evaluate(
    context: dg.SensorEvaluationContext, source: QueueSource, inbox: Inbox, tick: Tick, spec: InboxSpec
) -> dg.SensorResult | dg.SkipReason:
    """What a tick asks of Dagster. A queue that cannot be read fails the tick, unless runs are to be asked for."""
    known = _retire_unknown(context, source, inbox, tick.offers, spec)
    requests = list(_requests(context.instance, source, spec, known))
    told = _told(tick, len(requests))
    context.log.info(told)
    if tick.error:
        context.log.error(f"{tick.stopped_by}: {tick.error}")
    if requests:
        added = _new_partitions(context.instance, source, requests)
        return dg.SensorResult(run_requests=requests, dynamic_partitions_requests=added)
    if tick.error:
        raise tick.error
    return dg.SkipReason(told)


def _now() -> datetime:
    return datetime.now(UTC)


def _adapter(context: dg.SensorEvaluationContext, key: str) -> Any:
    resource = getattr(context.resources, key)
    assert isinstance(resource, AdapterResource), f"{key} is an AdapterResource"
    return resource.adapter()


def _told(tick: Tick, requests: int) -> str:
    return (
        f"{tick.received} received, {tick.quarantined} quarantined, {tick.replayed} replayed, {tick.batches} batches; "
        f"{len(tick.offers)} partitions wait, {requests} runs requested; stopped by {tick.stopped_by}"
    )


# --- Partitions ----------------------------------------------------------------------------------------------------


def _retire_unknown(
    context: dg.SensorEvaluationContext,
    source: QueueSource,
    inbox: Inbox,
    offers: Sequence[Offer],
    spec: InboxSpec,
) -> list[Offer]:
    """The offers whose partition exists. One request for an unknown partition would fail the whole tick, so messages
    whose tenant or day has gone since they were stored go to the dead letters."""
    if isinstance(source.partitions, dg.DynamicPartitionsDefinition):
        return list(offers)
    known = []
    for offer in offers:
        if _exists(source.partitions, offer.partition):
            known.append(offer)
        else:
            context.log.warning(
                f"{offer.partition} is no partition (any more): {offer.messages} dead letters"
            )
            _retire(inbox, offer.partition, spec)
    return known


def _exists(partitions: dg.PartitionsDefinition, key: str) -> bool:
    try:
        return partitions.has_partition_key(key)
    except dg.DagsterError:  # not even of the form that such a key has
        return False


def _retire(inbox: Inbox, partition: str, spec: InboxSpec) -> None:
    reason = Dead(f"there is no partition {partition!r} (any more)")
    Application(inbox, lambda messages: {m.id: reason for m in messages}, spec, "sensor", _now).apply(
        partition
    )


def _new_partitions(
    instance: dg.DagsterInstance, source: QueueSource, requests: Sequence[dg.RunRequest]
) -> list[dg.AddDynamicPartitionsRequest]:
    if not isinstance(source.partitions, dg.DynamicPartitionsDefinition):
        return []
    name = source.partitions.name
    assert name is not None, "a dynamic partitions definition has a name"
    known = set(instance.get_dynamic_partitions(name))
    new = sorted({r.partition_key for r in requests if r.partition_key and r.partition_key not in known})
    return [source.partitions.build_add_request(new)] if new else []


# --- Requests ------------------------------------------------------------------------------------------------------


def _requests(
    instance: dg.DagsterInstance, source: QueueSource, spec: InboxSpec, offers: Sequence[Offer]
) -> Iterator[dg.RunRequest]:
    """One request per waiting partition that has no run in progress and is not backing off from failures."""
    busy = _busy_partitions(instance, source, spec)
    room = max(spec.max_run_requests - len(busy), 0)
    for offer in offers:
        if room == 0:
            return
        if source.tags(offer.partition).get("tenant") in source.suspended:
            continue
        if offer.partition in busy or (request := _request(instance, source, spec, offer)) is None:
            continue
        room -= 1
        yield request


def _request(
    instance: dg.DagsterInstance, source: QueueSource, spec: InboxSpec, offer: Offer
) -> dg.RunRequest | None:
    tags = {SOURCE_TAG: source.name, PARTITION_TAG: offer.partition}
    latest = instance.get_run_records(dg.RunsFilter(tags=tags), limit=spec.max_attempts)
    if _backs_off(latest, spec):
        return None
    # A run blocks its key for ever, failed or not; naming the run before, the key is new for each attempt and the
    # same for two ticks that see the same history.
    after = latest[0].dagster_run.run_id if latest else "first"
    return dg.RunRequest(
        run_key=f"{source.name}:{offer.partition}:{offer.newest}:{after}",
        partition_key=offer.partition,
        tags={**tags, BATCH_TAG: offer.newest, **source.tags(offer.partition)},
    )


def _busy_partitions(instance: dg.DagsterInstance, source: QueueSource, spec: InboxSpec) -> set[str]:
    """Those with a run that waits or goes on. A process killed without anybody noticing blocks for an hour only."""
    oldest = _now() - timedelta(seconds=spec.stuck_run_seconds)
    records = instance.get_run_records(dg.RunsFilter(tags={SOURCE_TAG: source.name}, statuses=NOT_ENDED))
    return {
        record.dagster_run.tags.get(PARTITION_TAG, "")
        for record in records
        if record.dagster_run.status is dg.DagsterRunStatus.QUEUED or _utc(record.update_timestamp) > oldest
    }


def _backs_off(latest: Sequence[dg.RunRecord], spec: InboxSpec) -> bool:
    failed = _failures_in_a_row([record.dagster_run.status for record in latest])
    if not failed:
        return False
    ended = latest[0].end_time or _utc(latest[0].update_timestamp).timestamp()
    return _now().timestamp() < ended + backoff_seconds(failed, spec)


def _failures_in_a_row(statuses: Sequence[dg.DagsterRunStatus]) -> int:
    """Newest first: how many runs have failed since one succeeded."""
    succeeded = (number for number, status in enumerate(statuses) if status not in FAILED)
    return next(succeeded, len(statuses))


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
