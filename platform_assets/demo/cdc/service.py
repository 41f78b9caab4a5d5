"""The old service's door on the new platform: an event posted here goes through queue, sensor, inbox and run at once.

Answers as the old one did: 204 where every handler did its work, 400 where the message is given up, with the reason.
"""

from __future__ import annotations

import os
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg

from platform_assets.assets.cdc import SOURCE, monitor_key
from platform_assets.assets.inbox.sensor import inbox_of
from platform_assets.definitions import configuration, defs
from platform_assets.ports import OutboundMessage
from platform_assets.resources.adapter import AdapterResource

MOST_BYTES = 10_000_000


class Service:
    """``take`` handles one event from the queue to its points."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.job = defs.resolve_implicit_global_asset_job_def()

    def take(self, body: bytes, attributes: dict[str, str]) -> list[str]:
        """Why the event was given up; empty where all is well."""
        before = set(self._letters())
        self._adapter(f"queue_{SOURCE}").send([OutboundMessage(body, attributes)])
        for request in self._requests():
            self.job.execute_in_process(
                instance=self.instance,
                asset_selection=[monitor_key(name) for name in configuration.monitors],
                partition_key=request.partition_key,
                tags=dict(request.tags),
                run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
            )
        return [reason for key, reason in self._letters().items() if key not in before]

    def _requests(self) -> list[dg.RunRequest]:
        with dg.build_sensor_context(
            self.instance, definitions=defs, sensor_name=f"{SOURCE}_sensor", resources=defs.resources
        ) as context:
            return list(defs.resolve_sensor_def(f"{SOURCE}_sensor").evaluate_tick(context).run_requests or ())

    def _letters(self) -> dict[str, str]:
        inbox = inbox_of(self._adapter("object_store"), SOURCE)
        return {key: letter.reason for key, letter in inbox.dead_letters()}

    def _adapter(self, key: str) -> Any:
        resource = (defs.resources or {})[key]
        assert isinstance(resource, AdapterResource)
        return resource.adapter()


def serve(port: int, metrics: Path) -> None:
    """Until it is stopped; each event's points are printed as they stand in ``metrics``."""
    with dg.DagsterInstance.get() as instance:
        service = Service(instance)

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(HTTPStatus.OK, "ready")

            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                if size > MOST_BYTES:
                    self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "larger than a message can be")
                    return
                events = {k.lower(): v for k, v in self.headers.items() if k.lower().startswith("ce-")}
                told = metrics.stat().st_size if metrics.exists() else 0
                reasons = service.take(self.rfile.read(size), events)
                if metrics.exists():
                    print(metrics.read_bytes()[told:].decode(), end="", flush=True)
                if reasons:
                    self._answer(HTTPStatus.BAD_REQUEST, "Bad Request: " + "; ".join(reasons))
                else:
                    self._answer(HTTPStatus.NO_CONTENT, "")

            def _answer(self, status: HTTPStatus, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: Any) -> None:
                return

        with HTTPServer(("127.0.0.1", port), Door) as server:
            print(f"listening on http://localhost:{server.server_port}, process {os.getpid()}", flush=True)
            server.serve_forever()
