"""How the Pub/Sub adapters reach Pub/Sub: project, endpoint, bounded connects, calls and retries.

Credentials are Google's application defaults, never in a deployment file. An ``endpoint`` is an emulator: plaintext.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from platform_assets.engine.errors import ConfigError, RetryableError
from platform_assets.engine.spec import Spec


class PubSubSettings(Spec):
    """``endpoint``: ``host:port`` of an emulator. ``timeout_seconds`` bounds one call with all its retries."""

    project: str
    endpoint: str | None = None
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10.0
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 30.0


def connect(kind: str, settings: PubSubSettings) -> Any:
    """Google's generated ``publisher`` or ``subscriber`` client; nothing is sent yet."""
    try:
        import grpc
        from google import pubsub_v1
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
    except ImportError as error:
        raise ConfigError("Pub/Sub: install it with: pip install google-cloud-pubsub") from error
    clients: dict[str, tuple[Any, Any]] = {
        "publisher": (pubsub_v1.PublisherClient, PublisherGrpcTransport),
        "subscriber": (pubsub_v1.SubscriberClient, SubscriberGrpcTransport),
    }
    client, transport = clients[kind]
    if settings.endpoint is None:
        return client()
    sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    return client(transport=transport(channel=grpc.insecure_channel(settings.endpoint, sizes)))


def call_options(settings: PubSubSettings) -> dict[str, Any]:
    """Retry what may pass (lost connections, throttling, 5xx) until ``timeout_seconds`` are over, no longer."""
    from google.api_core import exceptions
    from google.api_core.retry import Retry, if_exception_type

    transient = if_exception_type(
        *(exceptions.ServiceUnavailable, exceptions.InternalServerError, exceptions.BadGateway),
        *(exceptions.ResourceExhausted, exceptions.Aborted),
    )
    seconds = settings.timeout_seconds
    return {
        "retry": Retry(transient, initial=0.1, maximum=5.0, multiplier=2.0, timeout=seconds),
        "timeout": seconds,
    }


def await_connection(client: Any, settings: PubSubSettings, what: str) -> None:
    """Returns once the channel is up. Otherwise a server that never answers would look like an empty queue."""
    import grpc

    ready = grpc.channel_ready_future(client.transport.grpc_channel)
    try:
        ready.result(timeout=settings.connect_timeout_seconds)
    except grpc.FutureTimeoutError as error:
        ready.cancel()
        seconds = settings.connect_timeout_seconds
        raise RetryableError(f"{what}: Pub/Sub cannot be reached in {seconds:g} seconds") from error
