"""Applying the inbox from inside an asset: what Dagster knows of the run, handed to ``Application``."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from platform_assets.assets.inbox.apply import Application, Applied, Handler, Step, no_step
from platform_assets.assets.inbox.sensor import REPLAY_TAG, inbox_of
from platform_assets.engine.errors import PlatformError
from platform_assets.engine.inbox.spec import InboxSpec


def apply_inbox(
    context: dg.AssetExecutionContext,
    store: Any,
    source: str,
    handler: Callable[[str], Handler],
    spec: InboxSpec,
    *,
    ordered: bool = False,
    step: Step = no_step,
) -> dict[str, Applied]:
    """Apply the waiting messages of the run's partitions: partition → counts. ``handler`` makes a partition's handler.

    The run tag ``inbox/replay: "true"`` handles everything that retention has kept of these partitions again: start a
    backfill with it. RetryableError (the run fails, nothing is lost) where messages cannot be applied just now.
    """
    replay = is_replay(context)

    def apply(partition: str) -> Applied:
        return Application(
            inbox_of(store, source),
            handler(partition),
            spec,
            context.run.run_id,
            lambda: datetime.now(UTC),
            ordered=ordered,
            replay=replay,
            ended=lambda owner: _ended(context.instance, owner),
            step=step,
        ).apply(partition)

    # Keys of several dimensions are a kind of text of their own, which nothing else knows how to store.
    return _each([str(key) for key in context.partition_keys], apply)


def is_replay(context: dg.AssetExecutionContext) -> bool:
    """Whether the run is to handle again what has been applied."""
    return context.run.tags.get(REPLAY_TAG, "").lower() == "true"


def _each(partitions: Sequence[str], apply: Callable[[str], Applied]) -> dict[str, Applied]:
    """Every partition, also where an earlier one failed; then the first error."""
    applied, errors = {}, []
    for partition in partitions:
        try:
            applied[partition] = apply(partition)
        except PlatformError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return applied


def _ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether Dagster has seen the run end, so that its lease need not be waited for."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished


def metadata(applied: Applied) -> dict[str, dg.MetadataValue]:
    """The counts of one partition, for its materialization."""
    return {
        f"inbox/{name}": dg.MetadataValue.int(getattr(applied, name))
        for name in ("received", "handled", "done", "waiting", "held", "dead")
    }
