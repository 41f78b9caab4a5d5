"""Metrics asked for by message: queue → inbox → one run per metric code, which answers all its waiting requests.

A request that is broken but tells its run id is answered too, in a run of its own partition; what tells none goes to
the dead letters at once. A failed request is an answer, not a failed run: the requests behind it must not wait.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from platform_assets.assets.inbox.apply import Applied
from platform_assets.assets.inbox.run import apply_inbox, metadata
from platform_assets.assets.inbox.sensor import QueueSource, inbox_of
from platform_assets.assets.inbox.tick import stored
from platform_assets.assets.metrics_keys import METRIC_RUN, EventTopics, lineage_metadata
from platform_assets.engine.errors import PlatformError, RetryableError
from platform_assets.engine.expressions.lineage import column_lineage
from platform_assets.engine.inbox.model import (
    Dead,
    Done,
    Outcome,
    Quarantined,
    Retry,
    Route,
    Routed,
    StoredMessage,
)
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.metrics.request import RequestError, parse_request
from platform_assets.engine.metrics.settings import MetricSettings
from platform_assets.ports import Message

if TYPE_CHECKING:
    from platform_assets.assets.metrics_run import MetricOutcome

Declared: TypeAlias = "Callable[[MetricOutcome], dg.AssetMaterialization | None]"
SOURCE = "metric_requests"
PARTITIONS = dg.DynamicPartitionsDefinition(name="metric_code")
UNREADABLE = "_unreadable"  # no metric code begins like this
CHECK = "requests_succeeded"
SHOWN = 100


def route(message: Message) -> Route:
    """By metric code. Requests without a usable one that tell their run id are answered under ``_unreadable``."""
    try:
        request = parse_request(message.body, message.attributes, published_at=message.published_at)
        code = request.metric_code
    except RequestError as error:
        if not error.run_id:
            return Quarantined(stored(message), str(error))
        code = error.metric_code
    order = (
        message.published_at.astimezone(UTC).isoformat(timespec="microseconds")
        if message.published_at
        else ""
    )
    # Dagster takes three dots in a partition key for a range.
    return Routed(code if code and "..." not in code else UNREADABLE, stored(message, order=order))


def request_source() -> QueueSource:
    return QueueSource(
        SOURCE,
        f"queue_{SOURCE}",
        route,
        dg.AssetSelection.assets(METRIC_RUN),
        PARTITIONS,
        lambda code: {"metricCode": code},
    )


@dataclass
class Answers:
    """Handles the requests of one metric code, and remembers how each ended.

    ``attempts``: how often each waiting message was tried, by key; only the last attempt turns a passing fault into
    a FAILURE. ``announce``: told whose requests are about to run.
    """

    run: "Callable[[StoredMessage, bool], MetricOutcome]"
    attempts: Callable[[], Mapping[str, int]]
    max_attempts: int
    announce: Callable[[Sequence[StoredMessage]], None]
    outcomes: "list[MetricOutcome]" = field(default_factory=list)

    def __call__(self, messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        self.announce(messages)
        tried = self.attempts()
        return {m.id: self._answer(m, tried.get(m.key, 0) + 1 >= self.max_attempts) for m in messages}

    def _answer(self, message: StoredMessage, final: bool) -> Outcome:
        try:
            outcome = self.run(message, final)
        except PlatformError as error:
            return Retry(str(error))
        self.outcomes.append(outcome)
        return Dead(outcome.error_message) if outcome.dead_letter else Done()


def metric_run_asset(
    topics: EventTopics, settings: MetricSettings, inbox: InboxSpec, declared: Declared
) -> dg.AssetsDefinition:
    """The asset ``metric_run``, partitioned by metric code: each run answers all waiting requests of its codes.

    ``declared``: what a request did for a declared metric, which then shows it as well.
    """

    @dg.multi_asset(
        name="metric_run",
        specs=[_spec()],
        check_specs=[_check_spec()],
        required_resource_keys={"object_store", *topics.resource_keys},
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def metric_run(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
        store = context.resources.object_store.adapter()
        runner = _runner(store, topics.opened(context.resources), settings)
        answers: dict[str, Answers] = {}

        def handler(code: str) -> Answers:
            def attempts() -> dict[str, int]:
                state, _ = inbox_of(store, SOURCE).state(code)
                return {key: waiting.attempts for key, waiting in state.waiting.items()}

            answers[code] = Answers(runner, attempts, inbox.max_attempts, lambda found: _tag(context, found))
            return answers[code]

        applied: Mapping[str, Applied] = {}
        failed: RetryableError | None = None
        try:
            applied = apply_inbox(context, store, SOURCE, handler, inbox)
        except RetryableError as error:
            failed = error
        for code, found in sorted(answers.items()):
            yield from _told(code, found.outcomes, applied.get(code, Applied()))
            for refreshed in filter(None, map(declared, found.outcomes)):
                context.log_event(refreshed)
        if failed:
            raise failed

    return metric_run


def _runner(
    store: Any, topics: Any, settings: MetricSettings
) -> "Callable[[StoredMessage, bool], MetricOutcome]":
    from platform_assets.assets.metrics_run import handle_message

    def run(message: StoredMessage, final: bool) -> "MetricOutcome":
        return handle_message(
            message.body,
            message.attributes,
            message.published_at,
            store,
            topics,
            lambda: datetime.now(UTC),
            settings,
            final_attempt=final,
        )

    return run


def _tag(context: dg.AssetExecutionContext, messages: Sequence[StoredMessage]) -> None:
    """Whose requests a run answers, so that it can be found by them."""
    ids, tenants = list[str](), set[str]()
    for message in messages:
        try:
            request = parse_request(message.body, message.attributes)
            ids.append(request.run_id)
            tenants |= {request.tenant} if request.tenant else set()
        except RequestError as error:
            ids += [error.run_id] if error.run_id else []
    tags = {"runId": ",".join(dict.fromkeys(ids[:SHOWN])), "tenant": ",".join(sorted(tenants))}
    context.instance.add_run_tags(context.run.run_id, {name: value for name, value in tags.items() if value})


# --- What people see ------------------------------------------------------------------------------------------------


def _spec() -> dg.AssetSpec:
    return dg.AssetSpec(
        METRIC_RUN,
        description="Metrics asked for by message, by metric code: `metrics/<code>/<version>/…` and `current/`.",
        group_name="metrics",
        partitions_def=PARTITIONS,
        skippable=True,  # where every request failed, there is nothing new
        kinds={"parquet"},
        tags={"domain": "metrics"},
        metadata={"dagster/column_schema": COLUMNS},
    )


COLUMNS = dg.TableSchema(
    columns=[
        dg.TableColumn("obs_time", "timestamp[ns]", constraints=dg.TableColumnConstraints(nullable=False)),
        dg.TableColumn("value", "double"),
    ]
)


def _check_spec() -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            CHECK,
            asset=METRIC_RUN,
            description="Every request of the run ended in SUCCESS.",
            partitions_def=PARTITIONS,
        )


def _told(
    code: str, outcomes: "Sequence[MetricOutcome]", applied: Applied
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    if not outcomes:
        return
    good = [outcome for outcome in outcomes if outcome.status == "SUCCESS"]
    bad = [outcome for outcome in outcomes if outcome.status != "SUCCESS"]
    if good:
        yield dg.AssetMaterialization(
            METRIC_RUN,
            partition=code,
            metadata={**_metadata(good[-1]), **_runs(outcomes), **metadata(applied)},
        )
    yield dg.AssetCheckEvaluation(
        asset_key=METRIC_RUN,
        check_name=CHECK,
        passed=not bad,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(good)} of {len(outcomes)} requests succeeded",
        metadata=_runs(outcomes),
        partition=code,
    )


def _runs(outcomes: "Sequence[MetricOutcome]") -> dict[str, Any]:
    return {"runs": dg.MetadataValue.json([told(outcome) for outcome in outcomes[-SHOWN:]])}


def told(outcome: "MetricOutcome") -> dict[str, Any]:
    """One run as its readers know it."""
    if outcome.status == "SUCCESS":
        result: dict[str, Any] = {
            "versionTs": outcome.version_ts,
            "outputManifest": outcome.output_manifest,
            "rowCount": outcome.row_count,
            "computed": outcome.computed,
            "aliasMoved": outcome.alias_moved,
        }
    else:
        result = {"error": {"code": str(outcome.error_code), "message": outcome.error_message}}
    return {"runId": outcome.run_id, "status": outcome.status, **result}


def _metadata(outcome: "MetricOutcome") -> dict[str, Any]:
    """The newest version, for the table of materializations. A repeated SUCCESS does not know what it was made of."""
    found: dict[str, Any] = {
        "dagster/partition_row_count": outcome.row_count,
        "version": outcome.version_ts,
        "manifest": dg.MetadataValue.path(outcome.output_manifest),
    }
    if outcome.manifest:
        datasets = {one.series_code: one.dataset_id for one in outcome.manifest.inputs}
        found |= lineage_metadata(column_lineage(datasets))
    return found
