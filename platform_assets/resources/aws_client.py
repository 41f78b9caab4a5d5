"""How every AWS adapter reaches AWS: region, endpoint, bounded timeouts and retries. No credentials here.

Credentials come from boto3's own chain (role, environment, profile), never from a deployment file; a tenant's
own account gives its keys explicitly.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import Field

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.spec import Spec


class AwsSettings(Spec):
    """``endpoint_url`` is for emulators and private endpoints. ``max_attempts`` counts the first one too:
    botocore retries lost connections, throttling and 5xx, with growing waits."""

    region: str = "us-east-1"
    endpoint_url: str | None = None
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    read_timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 60.0
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 4


def connect(
    service: str, settings: AwsSettings, *, credentials: Mapping[str, str] | None = None, **extra: Any
) -> Any:
    """A thread-safe boto3 client; nothing is sent yet. ``credentials`` by boto3's names (``aws_access_key_id`` …)
    win over boto3's chain; ``extra`` goes to botocore's Config.

    Adapters that reach a service in the same way share one client, since making one costs a tenth of a second;
    clients with credentials of their own are never kept.
    """
    plain = AwsSettings(**{name: getattr(settings, name) for name in AwsSettings.model_fields})
    if credentials or extra:
        return _client(service, plain, credentials, **extra)
    return _shared_client(service, plain)


@cache
def _shared_client(service: str, settings: AwsSettings) -> Any:
    return _client(service, settings, None)


def _client(service: str, settings: AwsSettings, credentials: Mapping[str, str] | None, **extra: Any) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise ConfigError(f"{service}: boto3 is missing; install it with: pip install boto3") from error
    config = Config(
        connect_timeout=settings.connect_timeout_seconds,
        read_timeout=settings.read_timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": settings.max_attempts},
        **extra,
    )
    keys: dict[str, Any] = dict(credentials or {})
    session: Any = boto3.session.Session(region_name=settings.region, **keys)
    client = session.client(service, endpoint_url=settings.endpoint_url, config=config)
    client.meta.events.register("response-received", _require_whole)
    return client


def _require_whole(event_name: str, response_dict: Mapping[str, Any] | None, **_: Any) -> None:
    """botocore takes a JSON answer that was cut short for an empty one: no messages, no failed acks. Streamed answers
    watch over their length themselves, and HEAD has none to read."""
    from botocore.exceptions import IncompleteReadError

    body = (response_dict or {}).get("body")
    if response_dict is None or not isinstance(body, bytes) or ".Head" in event_name:
        return
    headers = response_dict["headers"]
    told = headers.get("content-length")
    if told is not None and "content-encoding" not in headers and len(body) < int(told):
        raise IncompleteReadError(actual_bytes=len(body), expected_bytes=int(told))
