"""S3 under faults: moto behind a proxy that loses, delays and refuses."""

from __future__ import annotations

import io
import traceback
import uuid
from collections.abc import Callable, Iterator

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from platform_assets.engine.errors import (
    AuthError,
    ConflictError,
    NotFoundError,
    PlatformError,
    RetryableError,
)
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.object_store.s3 import S3ObjectStore, S3ObjectStoreSettings
from platform_assets_tests.resources.aws_faults import closed_port
from platform_assets_tests.servers.http_proxy import HttpProxy

MIB = 2**20
OPERATIONS: dict[str, tuple[str, Callable[[S3ObjectStore], object]]] = {
    "put": ("PUT", lambda store: store.put("key", b"data")),
    "get": ("GET", lambda store: store.get("key")),
    "range": ("GET", lambda store: store.get_range("key", 0, 2)),
    "stat": ("HEAD", lambda store: store.stat("key")),
    "list": ("GET", lambda store: list(store.list(""))),
    "delete": ("POST", lambda store: store.delete(["key"])),
    "stream": ("POST", lambda store: store.put("key", iter([b"x" * 6 * MIB]))),
}
every_operation = pytest.mark.parametrize(("method", "use"), OPERATIONS.values(), ids=OPERATIONS)


def error(code: str, text: str = "as the test wants it") -> bytes:
    return f"<Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()


@pytest.fixture
def bucket(moto_url: str) -> str:
    name = f"faults-{uuid.uuid4().hex}"
    connect("s3", AwsSettings(endpoint_url=moto_url)).create_bucket(Bucket=name)
    return name


@pytest.fixture
def make(moto_proxy: HttpProxy, bucket: str) -> Callable[..., S3ObjectStore]:
    def make(**settings: object) -> S3ObjectStore:
        defaults = {
            "endpoint_url": moto_proxy.url,
            "bucket": bucket,
            "max_attempts": 2,
            "part_bytes": 5 * MIB,
        }
        return S3ObjectStore(S3ObjectStoreSettings(**(defaults | settings)))

    return make


@every_operation
def test_nobody_listens(make: Callable[..., S3ObjectStore], method: str, use: Callable[..., object]) -> None:
    with closed_port() as url, pytest.raises(RetryableError) as caught:
        use(make(endpoint_url=url, max_attempts=1))
    assert not caught.value.effect_unknown


@every_operation
def test_no_answer_in_time(
    make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy, method: str, use: Callable[..., object]
) -> None:
    store = make(read_timeout_seconds=0.2, max_attempts=1)
    moto_proxy.fail(method, "", 200, seconds=0.8)
    with pytest.raises(RetryableError) as caught:
        use(store)
    assert caught.value.effect_unknown


@pytest.mark.parametrize(
    ("operation", "status", "code"),
    [
        *((name, 503, "SlowDown") for name in OPERATIONS),
        ("put", 500, "InternalError"),
        ("get", 400, "RequestTimeout"),
    ],
)
def test_what_may_pass_is_tried_again(
    make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy, operation: str, status: int, code: str
) -> None:
    method, use = OPERATIONS[operation]
    make().put("key", b"data")
    moto_proxy.fail(method, "", status, error(code))
    use(make())


@every_operation
def test_in_the_end_it_is_retryable(
    make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy, method: str, use: Callable[..., object]
) -> None:
    make().put("key", b"data")
    moto_proxy.exchanges.clear()
    moto_proxy.fail(method, "", 503, error("SlowDown"), times=99)
    with pytest.raises(RetryableError):
        use(make())
    assert (
        len(moto_proxy.sent(method, "")) <= 2 * 3
    )  # bounded: two tries of the request, at most three of a read


@every_operation
@pytest.mark.parametrize(
    ("status", "code"), [(400, "ExpiredToken"), (403, "InvalidAccessKeyId"), (403, "AccessDenied")]
)
def test_credentials_are_not_tried_again(
    make: Callable[..., S3ObjectStore],
    moto_proxy: HttpProxy,
    method: str,
    use: Callable[..., object],
    status: int,
    code: str,
) -> None:
    make().put("key", b"data")
    moto_proxy.exchanges.clear()
    for each in {method, "GET"}:
        moto_proxy.fail(each, "", status, error(code), times=99)
    with pytest.raises(AuthError):
        use(make())
    # botocore repeats a HEAD that was answered 400 once, to ask for the bucket's region.
    assert len(moto_proxy.exchanges) <= (3 if method == "HEAD" else 1)


def test_a_refused_signature_shows_nothing_of_the_request(
    make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy
) -> None:
    quoted = "The Canonical String should have been x-amz-security-token:SESSION-TOKEN-OF-THE-TEST"
    moto_proxy.fail("GET", "", 403, error("SignatureDoesNotMatch", quoted))
    with pytest.raises(AuthError) as caught:
        make().get("key")
    assert "SESSION-TOKEN" not in "".join(traceback.format_exception(caught.value))


@every_operation
def test_a_bucket_that_is_not_there(
    make: Callable[..., S3ObjectStore], method: str, use: Callable[..., object]
) -> None:
    store = make(bucket=f"none-{uuid.uuid4().hex}")
    if method == "HEAD":
        assert use(store) is None  # S3 does not tell a missing bucket from a missing object here
        return
    with pytest.raises(NotFoundError):
        use(store)


@pytest.mark.parametrize("condition", [{"if_absent": True}, {"if_match": "version"}])
def test_a_conditional_write_whose_first_answer_was_lost_is_in_doubt(
    make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy, condition: dict[str, object]
) -> None:
    if "if_match" in condition:
        condition = {"if_match": make().put("key", b"old")}
    moto_proxy.fail("PUT", "", 500, error("InternalError"), after_effect=True)
    with pytest.raises(RetryableError) as caught:
        make().put("key", b"new", **condition)  # its own second try finds the first one's object
    assert caught.value.effect_unknown
    assert make().get("key") == b"new"
    with pytest.raises(ConflictError):
        make().put("key", b"newer", **condition)


def test_a_body_that_breaks_off_is_read_again(
    make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy
) -> None:
    data = bytes(range(256)) * 1000
    make().put("key", data)
    moto_proxy.fail("GET", "key", half=True)
    assert make().get("key") == data
    moto_proxy.fail("GET", "key", half=True)
    assert make().get_range("key", 10, 100_000) == data[10:100_010]
    moto_proxy.fail("GET", "key", half=True, times=99)
    with pytest.raises(RetryableError):
        make().get("key")


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_failed_upload_leaves_neither_object_nor_parts(
    make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy, bucket: str, moto_url: str, method: str
) -> None:
    where = "partNumber=2" if method == "PUT" else r"uploadId="
    moto_proxy.fail(method, where, 403, error("AccessDenied"))
    with pytest.raises(AuthError):
        make().put("key", iter([b"x" * 11 * MIB]))
    s3 = connect("s3", AwsSettings(endpoint_url=moto_url))
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert make().stat("key") is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [("InternalError", RetryableError), ("SlowDown", RetryableError), ("AccessDenied", AuthError)],
)
def test_a_delete_that_fails_for_some_keys(
    make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy, code: str, expected: type[PlatformError]
) -> None:
    answer = (
        f"<DeleteResult><Error><Key>b</Key><Code>{code}</Code><Message>no</Message></Error></DeleteResult>"
    )
    moto_proxy.fail("POST", "delete", 200, answer.encode())
    with pytest.raises(expected, match="b"):
        make().delete(["a", "b"])


def test_requests_of_a_listing_are_counted(make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy) -> None:
    store = make(page_size=10)
    keys = [f"inbox/{n:03d}" for n in range(60)]
    for key in keys:
        store.put(key, b"")
    for listing, requests in [
        (lambda: next(store.list("inbox/")), 1),
        (lambda: list(store.list("inbox/")), 6),
        (lambda: list(store.list("inbox/", start_after="inbox/049")), 1),
        (lambda: list(store.list("inbox/01")), 1),
        (lambda: list(store.list("nothing/")), 1),
    ]:
        moto_proxy.exchanges.clear()
        listing()
        assert len(moto_proxy.exchanges) == requests


def test_readers_fetch_only_the_columns_and_row_groups_they_need(
    make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy
) -> None:
    store, rows = make(), 200_000
    table = pa.table(
        {"day": range(rows), "value": [n * 0.5 for n in range(rows)], "other": [n * 7 for n in range(rows)]}
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=10_000, compression="none")
    store.put("data.parquet", sink.getvalue())
    uri, options = store.uri("data.parquet")

    def with_polars() -> float:
        scan = pl.scan_parquet(uri, storage_options=dict(options), glob=False).filter(
            pl.col("day") >= rows - 10_000
        )
        return scan.select(pl.col("value").sum()).collect().item()

    def with_pyarrow() -> float:
        bucket = fs.S3FileSystem(endpoint_override=options["aws_endpoint_url"], region=options["aws_region"])
        with bucket.open_input_file(uri.removeprefix("s3://")) as file:
            return pc.sum(pq.ParquetFile(file).read_row_group(19, columns=["value"])["value"]).as_py()

    for read in (with_polars, with_pyarrow):
        moto_proxy.exchanges.clear()
        assert read() == sum(n * 0.5 for n in range(rows - 10_000, rows))
        ranges = [
            exchange.headers.get("Range") or exchange.headers["range"]
            for exchange in moto_proxy.sent("GET", "")
        ]
        fetched = sum(last - first + 1 for first, last in map(_span, ranges))
        assert fetched < len(sink.getvalue()) / 4


def _span(header: str) -> tuple[int, int]:
    first, last = header.removeprefix("bytes=").split("-")
    return (0, int(last)) if not first else (int(first), int(last))


def test_memory_of_an_upload_is_bounded_by_its_parts(
    make: Callable[..., S3ObjectStore], moto_proxy: HttpProxy
) -> None:
    def source() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * MIB

    make().put("key", source())
    parts = [len(exchange.body) for exchange in moto_proxy.sent("PUT", "partNumber")]
    assert parts == [5 * MIB] * 4
