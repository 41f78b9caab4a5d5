"""What the inbox benchmark serves to a live daemon: the inbox's own location, and the way that it replaces.

``one_by_one``: a sensor that asks for one run per message, as Dagster's guides show it. Both make the same effect, an
object that only its first writer creates. Where queues and objects are stands in the environment variable BENCH_INBOX.
"""

import json
import os
from contextlib import suppress

import dagster as dg

from platform_assets.engine.errors import ConflictError
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.resources.adapter import AdapterResource
from platform_assets_tests.assets.inbox import location

SETTINGS = "BENCH_INBOX"
ADAPTERS = json.loads(os.environ[SETTINGS])


class Body(dg.Config):
    body: str


@dg.asset
def single(config: Body, object_store: AdapterResource) -> None:
    with suppress(ConflictError):
        object_store.adapter().put(f"effects/{json.loads(config.body)['id']}", b"1", if_absent=True)


@dg.sensor(target=single, minimum_interval_seconds=1)
def one_by_one(context: dg.SensorEvaluationContext, single_queue: AdapterResource) -> dg.SensorResult:
    messages = single_queue.adapter().pull(100, wait_seconds=1)
    requests = [
        dg.RunRequest(run_key=m.id, run_config=dg.RunConfig({"single": Body(body=m.body.decode())}))
        for m in messages
    ]
    single_queue.adapter().ack(messages)
    return dg.SensorResult(run_requests=requests)


defs = dg.Definitions.merge(
    location.definitions(ADAPTERS, InboxSpec(minimum_interval_seconds=1)),
    dg.Definitions(assets=[single], sensors=[one_by_one]),
)
