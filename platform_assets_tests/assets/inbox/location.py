"""A small code location around the real sensor: one queue, one asset, whose effects are objects that can be counted."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Any

import dagster as dg

from platform_assets.assets.inbox.apply import Handler, Step, no_step
from platform_assets.assets.inbox.run import apply_inbox, metadata
from platform_assets.assets.inbox.sensor import QueueSource, queue_sensor
from platform_assets.assets.inbox.tick import stored
from platform_assets.assets.keys import tenant_day_partitions
from platform_assets.engine.errors import ConflictError, DataError
from platform_assets.engine.inbox.model import Done, Outcome, Quarantined, Route, Routed, StoredMessage
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.ports import Message
from platform_assets.resources.adapter import AdapterResource

TENANTS = ("acme", "globex")
FIRST = date(2026, 1, 1)
DAYS = ("2026-01-30", "2026-01-31")
ASSET = dg.AssetKey("orders")


def route(message: Message) -> Route:
    """``{"id", "tenant", "date"}`` → tenant × day."""
    try:
        found = json.loads(message.body)
        tenant, day = found["tenant"], date.fromisoformat(found["date"])
    except (ValueError, KeyError, TypeError) as error:
        return Quarantined(stored(message), f"cannot be read: {type(error).__name__}")
    if tenant not in TENANTS:
        return Quarantined(stored(message), f"there is no tenant {tenant!r}")
    if day < FIRST:
        return Quarantined(stored(message), f"{day} is before the first partition")
    return Routed(f"{day}|{tenant}", stored(message, id=found["id"]))


def handler(store: Any, step: Step) -> Handler:
    """An effect is an object that only its first writer can create. ``poison`` messages cannot be taken."""

    def handle(messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        for message in messages:
            if b"poison" in message.body:
                raise DataError("poison")
            step("before an effect")
            with suppress(ConflictError):
                store.put(f"effects/{message.id}", b"1", if_absent=True)
            step("after an effect")
        return {message.id: Done() for message in messages}

    return handle


def definitions(
    adapters: Mapping[str, tuple[str, str, Mapping[str, Any]]],
    spec: InboxSpec,
    step: Step = no_step,
    *,
    handle: Callable[[Any, Step], Handler] = handler,
    partitions: dg.PartitionsDefinition | None = None,
    route: Callable[[Message], Route] = route,
    suspended: frozenset[str] = frozenset(),
) -> dg.Definitions:
    """``adapters``: resource → (port, kind, settings), for ``object_store`` and ``queue``."""
    keys = partitions or tenant_day_partitions(FIRST, TENANTS)

    @dg.asset(key=ASSET, partitions_def=keys)
    def orders(context: dg.AssetExecutionContext, object_store: AdapterResource) -> dg.MaterializeResult:
        store = object_store.adapter()
        applied = apply_inbox(
            context, store, "orders", lambda partition: handle(store, step), spec, step=step
        )
        step("before publish")
        return dg.MaterializeResult(metadata=metadata(applied[context.partition_key]))

    source = QueueSource("orders", "queue", route, dg.AssetSelection.assets(ASSET), keys)
    if suspended:
        source = replace(source, tags=lambda key: {"tenant": key.partition("|")[2]}, suspended=suspended)
    return dg.Definitions(
        assets=[orders],
        sensors=[queue_sensor(source, spec, enabled=True, step=step)],
        resources={
            name: AdapterResource(port=port, kind=kind, settings=dict(settings))
            for name, (port, kind, settings) in adapters.items()
        },
        executor=dg.in_process_executor,
    )


def evaluate(defs: dg.Definitions, instance: dg.DagsterInstance) -> Any:
    """What the sensor answers, evaluated as the code server does it."""
    with dg.build_sensor_context(
        instance, definitions=defs, sensor_name="orders_sensor", resources=defs.resources
    ) as context:
        return defs.resolve_sensor_def("orders_sensor").evaluate_tick(context)


def tick(defs: dg.Definitions, instance: dg.DagsterInstance) -> list[dg.RunRequest]:
    """Evaluate the sensor as the code server does for the daemon."""
    data = evaluate(defs, instance)
    return list(data.run_requests or ())


def run(
    defs: dg.Definitions, instance: dg.DagsterInstance, request: dg.RunRequest
) -> dg.ExecuteInProcessResult:
    """The run a request asks for."""
    job = defs.resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return job.execute_in_process(
        instance=instance,
        asset_selection=[ASSET],
        partition_key=request.partition_key,
        tags=dict(request.tags),
        raise_on_error=False,
        run_config=quiet,
    )
