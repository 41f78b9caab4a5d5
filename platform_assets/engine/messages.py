"""What a delivered message really says: the event inside SNS, Pub/Sub push and CloudEvent wrappings.

Owns the wrappings only; the event itself stays bytes, digit for digit as sent. Refuses wrappings that are broken
(``DataError``); a body that is no wrapping is the event itself.
Sources: SNS "HTTP/HTTPS notification JSON format"; Pub/Sub "Receive push messages"; CloudEvents 1.0, JSON format.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import msgspec

from platform_assets.engine.errors import DataError

_MAX_DEPTH = 4  # CloudEvent around Pub/Sub around SNS around the event is the deepest seen
_NONE: Mapping[str, str] = MappingProxyType({})
_CE_REQUIRED = ("id", "source", "specversion", "type")

Document: TypeAlias = dict[str, msgspec.Raw]
T = TypeVar("T")


@dataclass(frozen=True)
class Envelope:
    """One event out of its wrappings. ``source`` is a topic ARN, a subscription or a CloudEvent's source, ``""``
    for a bare body. ``attributes`` are those of all wrappings, inner ones winning; a CloudEvent's are ``ce-…``."""

    id: str
    body: bytes
    attributes: Mapping[str, str] = field(default_factory=lambda: _NONE)
    source: str = ""
    published_at: datetime | None = None
    ordering_key: str | None = None


@dataclass(frozen=True)
class _Layer(Envelope):
    """One wrapping taken off: what it alone says. A CloudEvent's attributes are never headers of another one."""

    is_event: bool = False


def unwrap(
    body: bytes,
    attributes: Mapping[str, str] = _NONE,
    *,
    id: str = "",
    published_at: datetime | None = None,
    ordering_key: str | None = None,
) -> Envelope:
    """Take every wrapping off a delivery; the keyword arguments are what its queue says about it.

    Known: SNS notifications, Pub/Sub push bodies, CloudEvents (structured, and binary by ``ce-…`` attributes).
    Where nobody gave an id, the event's own ``uuid`` (Datastream) or a hash of the body stands in.
    """
    layers = [_Layer(id, body, _headers(attributes), "", published_at, ordering_key)]
    while inner := _next_layer(layers[-1]):
        if len(layers) > _MAX_DEPTH:
            raise DataError(f"message {layers[0].id!r} is wrapped more than {_MAX_DEPTH} times")
        layers.append(inner)
    envelope = _merged(layers)
    return envelope if envelope.id else replace(envelope, id=_own_id(envelope.body))


def unwrap_sns(body: bytes, attributes: Mapping[str, str] = _NONE) -> Envelope:
    """Exactly one SNS notification; ``DataError`` for anything else."""
    return _merged([_Layer("", body, attributes), _sns(_object(body, "SNS notification"))])


def unwrap_pubsub_push(body: bytes, attributes: Mapping[str, str] = _NONE) -> Envelope:
    """Exactly one Pub/Sub push body, ``{"message": {"data": …}, "subscription": …}``."""
    return _merged([_Layer("", body, attributes), _pubsub(_object(body, "Pub/Sub push body"))])


def unwrap_cloud_event(body: bytes, attributes: Mapping[str, str] = _NONE) -> Envelope:
    """Exactly one CloudEvent: binary where ``attributes`` hold ``ce-…`` headers, structured otherwise. Its data
    stays as sent, also where that is a Pub/Sub message."""
    outer = _Layer("", body, _headers(attributes))
    if "ce-specversion" in outer.attributes:
        return _merged([outer, _binary_event(outer)])
    return _merged([outer, _event(_object(body, "CloudEvent"))])


def _next_layer(outer: _Layer) -> _Layer | None:
    if "ce-specversion" in outer.attributes and not outer.is_event:
        return _binary_event(outer)
    document = _maybe_object(outer.body)
    if document is None:
        return None
    return next((take(document) for fits, take in _FORMS if fits(document, outer)), None)


def _merged(layers: Sequence[_Layer]) -> Envelope:
    """What the innermost layer says wins; attributes of all of them are kept."""
    last = layers[-1]
    inwards = layers[::-1]
    return Envelope(
        id=next((layer.id for layer in inwards if layer.id), ""),
        body=last.body,
        attributes={name: value for layer in layers for name, value in layer.attributes.items()},
        source=next((layer.source for layer in inwards if layer.source), ""),
        published_at=next((layer.published_at for layer in inwards if layer.published_at), None),
        ordering_key=next((layer.ordering_key for layer in inwards if layer.ordering_key), None),
    )


# --- SNS --------------------------------------------------------------------------------------------------------

_SNS_TYPES = ("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation")


def _is_sns(document: Document, outer: _Layer) -> bool:
    return _text(document, "Type") in _SNS_TYPES and not {"Message", "TopicArn"}.isdisjoint(document)


def _sns(document: Document) -> _Layer:
    kind, message = _text(document, "Type"), _text(document, "Message")
    if kind != "Notification" or message is None:
        raise DataError(
            f"not an SNS notification: Type is {kind!r}, Message is {_shape(document, 'Message')}"
        )
    sent = _typed(document, "MessageAttributes", dict[str, dict[str, str]], "SNS MessageAttributes")
    return _Layer(
        id=_text(document, "MessageId") or "",
        body=message.encode(),
        attributes=_headers({name: value.get("Value", "") for name, value in sent.items()}),
        source=_text(document, "TopicArn") or "",
        published_at=_time(_text(document, "Timestamp"), "SNS Timestamp"),
    )


# --- Pub/Sub ----------------------------------------------------------------------------------------------------


def _is_pubsub(document: Document, outer: _Layer) -> bool:
    """A push body names its subscription; a CloudEvent's data may leave it out, but then its message has data.
    Any other object with a ``message`` in it is an event of its own."""
    message = _maybe_object(document.get("message", b""))
    if message is None:
        return False
    return bool(_text(document, "subscription")) or (outer.is_event and bool(_text(message, "data")))


def _pubsub(document: Document) -> _Layer:
    message = _object(document.get("message", b""), "message of the Pub/Sub push body")
    data = _text(message, "data")
    if data is None and _shape(message, "data") not in {"absent", "null"}:
        raise DataError(f"Pub/Sub message.data is {_shape(message, 'data')}, not base64 text")
    published = _text(message, "publishTime") or _text(message, "publish_time")
    return _Layer(
        id=_text(message, "messageId") or _text(message, "message_id") or "",
        body=_base64(data or "", "Pub/Sub message.data"),
        attributes=_headers(_typed(message, "attributes", dict[str, str], "Pub/Sub message.attributes")),
        source=_text(document, "subscription") or "",
        published_at=_time(published, "Pub/Sub publishTime"),
        ordering_key=_text(message, "orderingKey") or _text(message, "ordering_key"),
    )


# --- CloudEvents ------------------------------------------------------------------------------------------------


def _is_event(document: Document, outer: _Layer) -> bool:
    return "specversion" in document and "type" in document


def _binary_event(outer: _Layer) -> _Layer:
    context = {name[3:]: value for name, value in outer.attributes.items() if name.startswith("ce-")}
    return _from_context(context, outer.body)


def _event(document: Document) -> _Layer:
    names = sorted(document.keys() - {"data", "data_base64"})
    context = {name: text for name in names if (text := _scalar(document[name])) is not None}
    return _from_context(context, _event_data(document, context.get("datacontenttype", "")))


def _event_data(document: Document, content_type: str) -> bytes:
    """JSON data stays as written; text of another content type loses its quotes; ``data_base64`` is bytes."""
    if "data_base64" in document:
        return _base64(_text(document, "data_base64") or "", "CloudEvent data_base64")
    text = _text(document, "data")
    if text is not None and content_type and "json" not in content_type:
        return text.encode()
    return bytes(document.get("data", b""))


def _from_context(context: Mapping[str, str], data: bytes) -> _Layer:
    missing = [name for name in _CE_REQUIRED if not context.get(name)]
    if missing:
        raise DataError(f"CloudEvent {context.get('id', '')!r} lacks {', '.join(missing)}")
    if not context["specversion"].startswith(("1.", "0.3")):
        raise DataError(
            f"CloudEvent {context['id']!r} has the unknown specversion {context['specversion']!r}"
        )
    return _Layer(
        id=context["id"],
        body=data,
        attributes={f"ce-{name}": value for name, value in context.items()},
        source=context["source"],
        published_at=_time(context.get("time"), "CloudEvent time"),
        ordering_key=context.get("partitionkey"),
        is_event=True,
    )


_FORMS: Sequence[tuple[Callable[[Document, _Layer], bool], Callable[[Document], _Layer]]] = (
    (_is_sns, _sns),
    (_is_pubsub, _pubsub),
    (_is_event, _event),
)

# --- Reading ----------------------------------------------------------------------------------------------------


def _maybe_object(data: bytes | msgspec.Raw) -> Document | None:
    """The fields of a JSON object, each still as written; None for anything else."""
    if not bytes(data).lstrip().startswith(b"{"):
        return None
    try:
        return msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    except RecursionError as error:
        raise DataError("a message's JSON is nested too deeply") from error


def _object(data: bytes | msgspec.Raw, what: str) -> Document:
    document = _maybe_object(data)
    if document is None:
        raise DataError(f"{what} is not a JSON object: {bytes(data)[:80]!r}")
    return document


def _text(document: Document, name: str) -> str | None:
    value = msgspec.json.decode(document[name]) if name in document else None
    return value if isinstance(value, str) else None


def _scalar(raw: msgspec.Raw) -> str | None:
    """A CloudEvent attribute in its string form; null and structures are none."""
    value = msgspec.json.decode(raw)
    if isinstance(value, str):
        return value
    return None if value is None or isinstance(value, dict | list) else bytes(raw).decode()


def _typed(document: Document, name: str, kind: type[dict[str, T]], what: str) -> dict[str, T]:
    if _shape(document, name) in {"absent", "null"}:
        return {}
    try:
        return msgspec.json.decode(document[name], type=kind)
    except msgspec.ValidationError as error:
        raise DataError(f"{what}: {error}") from error


def _shape(document: Document, name: str) -> str:
    """What a field is, in words, never its value."""
    if name not in document:
        return "absent"
    value = msgspec.json.decode(document[name])
    kinds = {type(None): "null", str: "text", dict: "an object", list: "a list", bool: "a truth value"}
    return kinds.get(type(value), "a number")


def _base64(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(f"{what} is not base64: {error}") from error


def _time(text: str | None, what: str) -> datetime | None:
    """RFC 3339; a time without zone is UTC."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(f"{what} is not a time: {text[:40]!r}") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _own_id(body: bytes) -> str:
    document = _maybe_object(body)
    return (document and _text(document, "uuid")) or hashlib.sha256(body).hexdigest()


def _headers(attributes: Mapping[str, str]) -> Mapping[str, str]:
    """CloudEvent headers in lower case, since HTTP does not tell ``Ce-Id`` from ``ce-id``; others as they are."""
    return {
        name.lower() if name.lower().startswith("ce-") else name: value for name, value in attributes.items()
    }
