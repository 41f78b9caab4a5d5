"""Cloud Storage under faults: its emulator, partly a fake of ours, behind a proxy that loses, delays and refuses."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from platform_assets.engine.errors import AuthError, ConflictError, NotFoundError, RetryableError
from platform_assets.resources.object_store.gcs import GcsObjectStore, GcsObjectStoreSettings
from platform_assets_tests.resources.aws_faults import closed_port
from platform_assets_tests.servers.http_proxy import HttpProxy, proxying

OPERATIONS: dict[str, tuple[str, Callable[[GcsObjectStore], object]]] = {
    "put": ("POST", lambda store: store.put("key", b"data")),
    "get": ("GET", lambda store: store.get("key")),
    "range": ("GET", lambda store: store.get_range("key", 0, 2)),
    "stat": ("GET", lambda store: store.stat("key")),
    "list": ("GET", lambda store: list(store.list(""))),
    "delete": ("POST", lambda store: store.delete(["key"])),
    "stream": ("PUT", lambda store: store.put("key", iter([b"x" * 600_000]))),
}
# Google's client drops the answers of downloads that it repeats, without closing them.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
every_operation = pytest.mark.parametrize(("method", "use"), OPERATIONS.values(), ids=OPERATIONS)
SOME = ("put", "get", "list", "stream")
some_operations = pytest.mark.parametrize(("method", "use"), [OPERATIONS[name] for name in SOME], ids=SOME)
Make = Callable[..., GcsObjectStore]


@pytest.fixture
def proxy(gcs_url: str) -> Iterator[HttpProxy]:
    with proxying(gcs_url) as proxy:
        yield proxy


@pytest.fixture
def make(proxy: HttpProxy, gcs_url: str) -> Iterator[Make]:
    made: list[GcsObjectStore] = []
    bucket = f"faults{uuid.uuid4().hex}"
    httpx.post(f"{gcs_url}/storage/v1/b", json={"name": bucket}).raise_for_status()

    def make(**settings: Any) -> GcsObjectStore:
        defaults = {"endpoint": proxy.url, "bucket": bucket, "deadline_seconds": 0.5, "part_bytes": 2**18}
        made.append(GcsObjectStore(GcsObjectStoreSettings(**(defaults | settings))))
        return made[-1]

    yield make
    for store in made:
        store._bucket.client.close()
    made.clear()
    gc.collect()  # here, where the warnings below are expected, and in no later test


def error(code: int, reason: str) -> dict[str, Any]:
    detail = {"reason": reason, "message": "as the test wants it"}
    return {"error": {"code": code, "message": detail["message"], "errors": [detail]}}


@some_operations
def test_nobody_listens(make: Make, method: str, use: Callable[..., object]) -> None:
    with closed_port() as url, pytest.raises(RetryableError) as caught:
        use(make(endpoint=url))
    assert not caught.value.effect_unknown


@some_operations
def test_no_answer_in_time_fake(
    make: Make, proxy: HttpProxy, method: str, use: Callable[..., object]
) -> None:
    proxy.fail(method, "", 200, {}, seconds=1.0, times=99)
    with pytest.raises(RetryableError) as caught:
        use(make(timeout_seconds=0.2, deadline_seconds=0.3))
    assert caught.value.effect_unknown


@pytest.mark.parametrize("operation", sorted(OPERATIONS.keys() - {"delete"}))
def test_an_outage_that_passes_fake(make: Make, proxy: HttpProxy, operation: str) -> None:
    method, use = OPERATIONS[operation]
    make().put("key", b"data")
    proxy.fail(method, "", 503, error(503, "backendError"))
    use(make())


@every_operation
def test_an_outage_that_lasts_fake(
    make: Make, proxy: HttpProxy, method: str, use: Callable[..., object]
) -> None:
    make().put("key", b"data")
    proxy.fail(method, "", 503, error(503, "backendError"), times=99)
    with pytest.raises(RetryableError):
        use(make())
    assert len(proxy.exchanges) < 20


@pytest.mark.parametrize(("operation", "status"), [*((name, 403) for name in OPERATIONS), ("get", 401)])
def test_credentials_are_not_tried_again_fake(
    make: Make, proxy: HttpProxy, operation: str, status: int
) -> None:
    method, use = OPERATIONS[operation]
    make().put("key", b"data")
    proxy.exchanges.clear()
    proxy.fail(method, "", status, error(status, "forbidden"), times=99)
    with pytest.raises(AuthError):
        use(make())
    assert len(proxy.sent(method, "")) == 1


@pytest.mark.parametrize("operation", ["put", "list"])
def test_a_bucket_that_is_not_there(make: Make, operation: str) -> None:
    _, use = OPERATIONS[operation]
    with pytest.raises(NotFoundError):
        use(make(bucket="none"))


@pytest.mark.parametrize("size", [3, 600_000])
def test_a_conditional_write_whose_answer_was_lost_is_in_doubt_fake(
    make: Make, proxy: HttpProxy, size: int
) -> None:
    method = "POST" if size == 3 else "PUT"
    proxy.fail(method, "", after_effect=True, skip=0 if size == 3 else 2)
    with pytest.raises(RetryableError) as caught:
        make().put("key", iter([b"x" * size]), if_absent=True)
    assert caught.value.effect_unknown
    assert make().get("key") == b"x" * size
    with pytest.raises(ConflictError):
        make().put("key", b"y", if_absent=True)


def test_a_body_that_breaks_off_is_no_object_fake(make: Make, proxy: HttpProxy) -> None:
    data = bytes(range(256)) * 1000
    make().put("key", data)
    proxy.fail("GET", "key", half=True)
    assert make().get("key") == data
    proxy.fail("GET", "key", half=True, times=99)
    with pytest.raises(RetryableError):
        make().get("key")


def test_a_delete_that_fails_for_some_keys_fake(make: Make, proxy: HttpProxy) -> None:
    def part(line: str) -> str:
        return (
            f"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n\r\n"
        )

    body = (part("204 No Content") + part("404 Not Found") + part("503 Unavailable") + "--b--").encode()
    proxy.fail("POST", "batch", 200, body, content_type="multipart/mixed; boundary=b")
    with pytest.raises(RetryableError):
        make().delete(["a", "b", "c"])


def test_requests_of_a_listing_are_counted_fake(make: Make, proxy: HttpProxy) -> None:
    store = make(page_size=10)
    for n in range(35):
        store.put(f"inbox/{n:03d}", b"")
    for listing, requests in [
        (lambda: next(store.list("inbox/")), 1),
        (lambda: list(store.list("inbox/")), 4),
        (lambda: list(store.list("inbox/", start_after="inbox/029")), 1),
        (lambda: list(store.list("nothing/")), 1),
    ]:
        proxy.exchanges.clear()
        listing()
        assert len(proxy.exchanges) == requests
