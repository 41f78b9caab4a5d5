"""Google client errors in our error tree: one table for the REST and the gRPC clients alike.

Owns the classification only. What a service means by its own codes (a job that exists already, a point that
came too early) stays with that adapter. Retries nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from platform_assets.engine.errors import (
    AuthError,
    ConflictError,
    NotFoundError,
    PlatformError,
    QuotaError,
    RejectedError,
    RetryableError,
)

# `reason` of a REST error decides before its HTTP status: 403 means throttled, out of quota, or not allowed.
# Source: cloud.google.com/bigquery/docs/error-messages.
_RETRYABLE_REASONS = frozenset(
    {
        *("rateLimitExceeded", "userRateLimitExceeded", "jobRateLimitExceeded"),
        *("backendError", "jobBackendError", "internalError", "jobInternalError", "badGateway", "timeout"),
    }
)
_REASONS: Mapping[str, type[RejectedError]] = {
    "quotaExceeded": QuotaError,
    "dailyLimitExceeded": QuotaError,
    "bytesBilledLimitExceeded": QuotaError,
    "resourcesExceeded": QuotaError,
    "accessDenied": AuthError,
    "billingNotEnabled": AuthError,
    "notFound": NotFoundError,
    "duplicate": ConflictError,
    "conditionNotMet": ConflictError,
}
_STATUSES: Mapping[int, type[RejectedError]] = {
    401: AuthError,
    403: AuthError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Vendor exceptions → our error tree; ``what`` names the operation and its object in the error's text."""
    try:
        yield
    except PlatformError:
        raise
    except Exception as error:
        known = translate(error, what)
        if known is None:
            raise
        raise known from error


def translate(error: BaseException, what: str) -> PlatformError | None:
    """The platform's error for a client library's exception; None for what is not one of theirs."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.exceptions import GoogleAuthError

    if isinstance(error, RetryError):
        return translate(error.cause or TimeoutError("no answer"), what)
    if isinstance(error, GoogleAPICallError):
        return _from_call(error, what)
    if isinstance(error, GoogleAuthError):
        return _from_auth(error, what)
    return _from_transport(error, what)


def reason_of(error: BaseException) -> str:
    """The first ``reason`` of a REST error's body, ``""`` where there is none (gRPC)."""
    errors: Any = getattr(error, "errors", None) or ()
    first = errors[0] if errors else None
    return str(first.get("reason", "")) if isinstance(first, dict) else ""


def _from_call(error: Any, what: str) -> PlatformError:
    reason, status = reason_of(error), int(error.code or 0)
    text = f"{what}: {_message(error)}"
    if reason in _RETRYABLE_REASONS or _may_pass(error, status):
        unknown = status >= 500 or status == 408
        return RetryableError(text, retry_after=_retry_after(error), effect_unknown=unknown)
    return (_REASONS.get(reason) or _STATUSES.get(status) or RejectedError)(text)


def _may_pass(error: Any, status: int) -> bool:
    """5xx, throttled, timed out, and gRPC's ABORTED (which shares 409 with ALREADY_EXISTS)."""
    from google.api_core.exceptions import Aborted, Cancelled

    return status >= 500 or status in (408, 429) or isinstance(error, Aborted | Cancelled)


def _message(error: Any) -> str:
    text = " ".join(str(getattr(error, "message", "") or error).split())
    return text[:2000]


def _retry_after(error: Any) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return float(headers.get("Retry-After", ""))
    except ValueError:
        return None


def _from_auth(error: Any, what: str) -> PlatformError:
    """Google says itself whether a token may be had later; a lost connection to the token server may."""
    from google.auth.exceptions import TransportError

    text = f"{what}: {_message(error)}"
    if isinstance(error, TransportError) or bool(getattr(error, "retryable", False)):
        return RetryableError(text)
    return AuthError(f"{text} (set GOOGLE_APPLICATION_CREDENTIALS or use a workload identity)")


def _from_transport(error: BaseException, what: str) -> PlatformError | None:
    import concurrent.futures

    import requests.exceptions as http

    lost = (http.ConnectionError, http.Timeout, http.ChunkedEncodingError, ConnectionError, TimeoutError)
    if not isinstance(error, (*lost, concurrent.futures.TimeoutError)):
        return None
    refused = "refused" in str(error).lower() or isinstance(error, http.ConnectTimeout)
    return RetryableError(f"{what}: {type(error).__name__}: {_message(error)}", effect_unknown=not refused)
