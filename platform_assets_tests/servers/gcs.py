"""gcp-storage-emulator with what it lacks added by us: preconditions, ordered listing with offsets and pages.

The bytes are moved and kept by the emulator; tests whose name says ``fake`` rest on what is added here.
Sources: JSON API, Objects: list and insert ("ifGenerationMatch", "startOffset"), "request preconditions".
"""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from platform_assets_tests.servers.process import running


@contextmanager
def serving() -> Iterator[str]:
    """Yields the endpoint URL of an empty server."""
    command = [sys.executable, "-m", "platform_assets_tests.servers.gcs"]
    with running(command, r"listening on (http://127\.0\.0\.1:\d+)") as url:
        yield url


def _query(request: Any, name: str) -> str | None:
    found: str | None = (request.query.get(name) or [None])[0]
    return found


def _guarded(insert: Any) -> Any:
    """Objects: insert, refused with 412 where the object is not at the generation asked for (0: where it is)."""

    def handle(request: Any, response: Any, storage: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = _query(request, "ifGenerationMatch")
        meta = request.data if isinstance(request.data, dict) else {}
        name = _query(request, "name") or meta.get("meta", meta).get("name")
        if wanted is not None and wanted != _current(storage, request.params["bucket_name"], name):
            return _refuse(response)
        return insert(request, response, storage, *args, **kwargs)

    return handle


def _guarded_part(upload_partial: Any) -> Any:
    """The last part of a resumable upload: the condition is checked again when the object would appear."""

    def handle(request: Any, response: Any, storage: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = _query(request, "ifGenerationMatch")
        total = (request.get_header("Content-Range") or "*").rpartition("/")[2]
        if wanted is not None and total != "*":
            target = storage.get_resumable_file_obj(_query(request, "upload_id"))
            if wanted != _current(storage, target["bucket"], target["name"]):
                return _refuse(response)
        return upload_partial(request, response, storage, *args, **kwargs)

    return handle


def _listing(request: Any, response: Any, storage: Any, *args: Any, **kwargs: Any) -> None:
    """Objects: list, in order of names, from ``startOffset`` (included), ``maxResults`` at a time."""
    from gcp_storage_emulator.exceptions import NotFound

    try:
        found, _ = storage.get_file_list(request.params["bucket_name"], _query(request, "prefix"), None)
    except NotFound:
        response.status = HTTPStatus.NOT_FOUND
        return
    start, after = _query(request, "startOffset") or "", _query(request, "pageToken") or ""
    items = sorted((o for o in found if o["name"] >= start and o["name"] > after), key=lambda o: o["name"])
    page = items[: int(_query(request, "maxResults") or 1000)]
    more = {"nextPageToken": page[-1]["name"]} if len(page) < len(items) else {}
    response.json({"kind": "storage#objects", "items": page, **more})


def _dated(download: Any) -> Any:
    """Downloads with the headers that readers of ranges ask for."""

    def handle(request: Any, response: Any, storage: Any, *args: Any, **kwargs: Any) -> None:
        download(request, response, storage, *args, **kwargs)
        if response.status < 300:
            target = storage.get_file_obj(request.params["bucket_name"], request.params["object_id"])
            response["Last-Modified"] = format_datetime(
                datetime.fromisoformat(target["updated"]), usegmt=True
            )
            response["ETag"] = f'"{target["etag"]}"'

    return handle


def _head(self: Any) -> None:
    """HEAD is GET without the body."""
    from gcp_storage_emulator.server import GET, Router

    wire, self.wfile = self.wfile, io.BytesIO()
    Router(self).handle(GET)
    answer, self.wfile = self.wfile.getvalue(), wire
    self.wfile.write(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")


def _current(storage: Any, bucket: str, name: str) -> str:
    from gcp_storage_emulator.exceptions import NotFound

    try:
        return str(storage.get_file_obj(bucket, name)["generation"])
    except NotFound:
        return "0"


def _refuse(response: Any) -> None:
    text = "At least one of the pre-conditions you specified did not hold."
    detail = {"message": text, "domain": "global", "reason": "conditionNotMet"}
    response.status = HTTPStatus.PRECONDITION_FAILED
    response.json({"error": {"code": 412, "message": text, "errors": [detail]}})


def _serve() -> None:
    from gcp_storage_emulator import server
    from gcp_storage_emulator.handlers import objects

    ours = {
        objects.insert: _guarded(objects.insert),
        objects.upload_partial: _guarded_part(objects.upload_partial),
        objects.ls: _listing,
        objects.download: _dated(objects.download),
    }
    server.HANDLERS = tuple(
        (route, {method: ours.get(handler, handler) for method, handler in handlers.items()})
        for route, handlers in server.HANDLERS
    )
    server.RequestHandler.do_HEAD = _head
    emulator = server.create_server("127.0.0.1", 0, in_memory=True)
    emulator.start()
    print(f"listening on http://127.0.0.1:{emulator._api._httpd.server_port}", flush=True)
    signal.pause()


if __name__ == "__main__":
    _serve()
