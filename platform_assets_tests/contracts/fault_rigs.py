"""Every adapter that talks to somebody, pointed at an address where things go wrong, and what its service would say.

``HTTP``, ``GRPC`` and SMTP together have at least one act for every entry of ``bindings.ADAPTERS`` that is not local;
those are broken in ways of their own (``local_faults``). Time-outs and pauses are short; two attempts are allowed
where any are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.cloud.monitoring_v3 import types as monitoring
from google.pubsub_v1 import types as pubsub

from platform_assets.engine.ingestion.http import HttpRequest
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.engine.names import TableName
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import MetricPoint, Notification, OutboundMessage, Secret
from platform_assets.resources.bindings import create
from platform_assets.resources.queue.sqs import SqsQueue, SqsQueueSettings

Answer = tuple[int, str, str]  # status, content type, body
Act = Callable[[str], object]
NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)
QUEUE_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/q"
TOPIC_ARN = "arn:aws:sns:us-east-1:123456789012:t"
_QUICK = {"max_attempts": 2, "backoff_seconds": 0.0, "request_timeout_seconds": 0.5}
_AWS = {"max_attempts": 2, "connect_timeout_seconds": 0.5, "read_timeout_seconds": 0.5}


def _xml(root: str, code: str) -> str:
    error = f"<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"
    return f"<ErrorResponse>{error}</ErrorResponse>" if root else error


def _google(status: int, reason: str) -> Answer:
    error = {"code": status, "message": reason, "errors": [{"reason": reason, "message": reason}]}
    return status, "application/json", json.dumps({"error": error})


def _aws_json(status: int, code: str) -> Answer:
    return status, "application/x-amz-json-1.0", f'{{"__type": "com.amazonaws#{code}", "message": "no"}}'


@dataclass(frozen=True)
class Words:
    """What a service answers when it throttles, is broken, and finds the credentials expired."""

    throttled: Answer
    broken: Answer
    expired: Answer


S3 = Words(
    (503, "application/xml", _xml("", "SlowDown")),
    (500, "application/xml", _xml("", "InternalError")),
    (400, "application/xml", _xml("", "ExpiredToken")),
)
AWS_QUERY = Words(
    (400, "text/xml", _xml("r", "Throttling")),
    (500, "text/xml", _xml("r", "InternalFailure")),
    (403, "text/xml", _xml("r", "ExpiredToken")),
)
AWS_JSON = Words(
    _aws_json(400, "ThrottlingException"),
    _aws_json(500, "InternalError"),
    _aws_json(400, "ExpiredTokenException"),
)
GOOGLE = Words(_google(429, "rateLimitExceeded"), _google(503, "backendError"), _google(401, "authError"))
PLAIN = Words((429, "text/plain", "slow down"), (503, "text/plain", "broken"), (401, "text/plain", "who?"))
SLACK = Words(
    (429, "text/plain", "rate_limited"),
    (503, "text/plain", "rollup_error"),
    (403, "text/plain", "invalid_token"),
)
WEBHOOK = Words(
    (429, "text/plain", "slow down"), (503, "text/plain", "down"), (401, "text/plain", "who are you")
)


@dataclass(frozen=True)
class Talk:
    """``act(url)`` opens the adapter there and does one thing. ``repeats`` where doing it twice can do no harm."""

    port: str
    kind: str
    act: Act
    words: Words
    repeats: bool = True


# --- HTTP -----------------------------------------------------------------------------------------------------------


def _warehouse(url: str, **more: Any) -> Any:
    return create("warehouse", "bigquery", {"project": "p", "endpoint": url, **_QUICK, **more})


def _sources(url: str) -> Any:
    settings = {"project": "p", "endpoint": url, **_QUICK, "timeout_seconds": 0.5}
    return create("query_sources", "bigquery", settings).open({}, None)


def _s3(url: str) -> Any:
    return create("object_store", "s3", {"endpoint_url": url, "bucket": "b", **_AWS})


def _gcs(url: str) -> Any:
    times = {"deadline_seconds": 0.5, "timeout_seconds": 0.5}
    return create("object_store", "gcs", {"endpoint": url, "bucket": "b", **times})


def _aws_secret(url: str) -> object:
    return create("secrets", "aws", {"endpoint_url": url, **_AWS}).get("acme1281", "key")


def _google_secret(url: str) -> object:
    settings = {"project_id": "p", "endpoint": url, "max_attempts": 2, "backoff_seconds": 0.0}
    return create("secrets", "google", settings | {"timeout_seconds": 0.5}).get("acme1281", "key")


def _live(url: str, kind: str = "live", **settings: Any) -> object:
    provider = ProviderSpec.model_validate(
        {
            "provider": "example",
            "display_name": "Example",
            "base_url": url,
            "auth": {"type": "bearer"},
            "rate_limit": {"requests_per_minute": 60_000},
            "timeout_seconds": 1,
            "retry": {"max_attempts": 2, "initial_seconds": 0, "max_wait_seconds": 0},
        }
    )
    http = create("http", kind, settings or {"allow_loopback": True})
    try:
        return http.open(provider, Secret("key-under-test")).send(HttpRequest("GET", f"{url}/costs"))
    finally:
        http.close()


def _source_store(url: str) -> Any:
    stores = create("source_stores", "s3", {"endpoint_url": url, **_AWS})
    return stores.open("b", {}, None)


def _sqs(url: str) -> Any:
    # Its settings ask for reads that outlast a long poll of 20 seconds, which no test waits for.
    given = {"endpoint_url": url, "queue_url": QUEUE_URL, **_AWS}
    return SqsQueue(SqsQueueSettings.model_construct(**given))


def note(**settings: Any) -> Notification:
    return Notification("failed", "it failed", "", "error", {}, settings)


def _slack(url: str) -> object:
    notifier = create("notifier", "slack", {"webhook_prefix": url, "timeout_seconds": 0.5})
    return notifier.send(note(webhook_url=Secret(f"{url}/services/T/B/x")))


def _service(url: str) -> object:
    address = url.replace("http://", "json://")
    return create("notifier", "apprise", {"timeout_seconds": 0.5}).send(note(service_url=Secret(address)))


HTTP: Mapping[str, Talk] = {
    "bigquery describe": Talk(
        "warehouse",
        "bigquery",
        lambda u: _warehouse(u).describe("acme1281", TableName("raw_any", "t")),
        GOOGLE,
    ),
    "bigquery query": Talk(
        "warehouse", "bigquery", lambda u: _warehouse(u).query("acme1281", BoundSql("SELECT 1 AS x")), GOOGLE
    ),
    "bigquery source": Talk(
        "query_sources",
        "bigquery",
        lambda u: list(_sources(u).query(BoundSql("SELECT 1 AS x"), maximum_bytes_billed=10**9)),
        GOOGLE,
    ),
    "s3 get": Talk("object_store", "s3", lambda u: _s3(u).get("k"), S3),
    "s3 list": Talk("object_store", "s3", lambda u: list(_s3(u).list("k")), S3),
    "s3 put": Talk("object_store", "s3", lambda u: _s3(u).put("k", b"x"), S3),
    "s3 delete": Talk("object_store", "s3", lambda u: _s3(u).delete(["k"]), S3),
    "gcs get": Talk("object_store", "gcs", lambda u: _gcs(u).get("k"), GOOGLE),
    "gcs list": Talk("object_store", "gcs", lambda u: list(_gcs(u).list("k")), GOOGLE),
    "gcs put": Talk("object_store", "gcs", lambda u: _gcs(u).put("k", b"x"), GOOGLE),
    "s3 source get": Talk("source_stores", "s3", lambda u: _source_store(u).get("k"), S3),
    "aws secret": Talk("secrets", "aws", _aws_secret, AWS_JSON),
    "google secret": Talk("secrets", "google", _google_secret, GOOGLE),
    "http live": Talk("http", "live", _live, PLAIN),
    "http recording": Talk(
        "http",
        "recording",
        lambda u: _live(u, "recording", folder="unused", live={"allow_loopback": True}),
        PLAIN,
    ),
    "sqs pull": Talk("queue", "sqs", lambda u: _sqs(u).pull(1), AWS_JSON),
    "sns publish": Talk(
        "topic",
        "sns",
        lambda u: create("topic", "sns", {"endpoint_url": u, "topic_arn": TOPIC_ARN, **_AWS}).publish(
            [OutboundMessage(b"x")]
        ),
        AWS_QUERY,
    ),
    "slack": Talk("notifier", "slack", _slack, SLACK, repeats=False),
    "apprise": Talk("notifier", "apprise", _service, WEBHOOK, repeats=False),
}


# --- gRPC -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """``service`` and ``methods`` are what the adapter calls, as ``grpc_fake.serving`` takes them."""

    port: str
    kind: str
    act: Act
    service: str
    methods: Mapping[str, tuple[Any, Any]]


_PUBSUB = {"project": "p", "timeout_seconds": 0.6, "connect_timeout_seconds": 0.5}


def _pull(address: str) -> object:
    settings = _PUBSUB | {"endpoint": address, "subscription": "s", "shortest_wait_seconds": 0.5}
    return create("queue", "pubsub", settings).pull(1)


def _publish(address: str) -> object:
    settings = _PUBSUB | {"endpoint": address, "topic": "t"}
    return create("topic", "pubsub", settings).publish([OutboundMessage(b"x")])


def _write(address: str) -> object:
    settings = {"project_id": "p", "endpoint": address, "insecure": True, "max_attempts": 2}
    sink = create(
        "metric_sink", "cloud_monitoring", settings | {"timeout_seconds": 0.5, "backoff_seconds": 0.0}
    )
    return sink.write([MetricPoint("cdc/records_total", 1, {}, NOW)])


GRPC: Mapping[str, Call] = {
    "pubsub pull": Call(
        "queue",
        "pubsub",
        _pull,
        "google.pubsub.v1.Subscriber",
        {"Pull": (pubsub.PullRequest, pubsub.PullResponse())},
    ),
    "cloud monitoring": Call(
        "metric_sink",
        "cloud_monitoring",
        _write,
        "google.monitoring.v3.MetricService",
        {
            "CreateMetricDescriptor": (monitoring.CreateMetricDescriptorRequest, None),
            "GetMetricDescriptor": (monitoring.GetMetricDescriptorRequest, None),
            "CreateTimeSeries": (monitoring.CreateTimeSeriesRequest, None),
        },
    ),
    "pubsub publish": Call(
        "topic",
        "pubsub",
        _publish,
        "google.pubsub.v1.Publisher",
        {"Publish": (pubsub.PublishRequest, pubsub.PublishResponse(message_ids=["1"]))},
    ),
}


# --- SMTP -----------------------------------------------------------------------------------------------------------


def send_letter(address: str) -> object:
    host, port = address.split(":")
    notifier = create("notifier", "smtp", {"timeout_seconds": 0.5})
    server = {"smtp_host": host, "smtp_port": int(port), "smtp_use_tls": False}
    people = {"from_email": "platform@example.com", "to_emails": ["ops@example.com"]}
    return notifier.send(note(**server, **people, username="u", password=Secret("key-under-test")))
