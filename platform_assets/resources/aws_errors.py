"""AWS client errors in our error tree, by error code first and HTTP status second.

Owns the classification only; what one service means by a code stays with its adapter. Retries nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from platform_assets.engine.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    NotFoundError,
    PlatformError,
    QuotaError,
    RejectedError,
    RetryableError,
)

_TRANSIENT = (
    *("throttl", "toomanyrequests", "requestlimitexceeded", "slowdown", "bandwidthlimitexceeded"),
    *("requesttimeout", "internalerror", "internalfailure", "serviceunavailable"),
)
_CODES: Mapping[str, type[RejectedError]] = {
    **dict.fromkeys(
        (
            *("AccessDenied", "AccessDeniedException", "AllAccessDisabled", "ExpiredToken"),
            *("ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSecurity"),
            *("InvalidSignatureException", "InvalidToken", "MissingAuthenticationToken", "NotAuthorized"),
            *("SignatureDoesNotMatch", "UnrecognizedClientException", "AuthorizationError"),
        ),
        AuthError,
    ),
    **dict.fromkeys(("LimitExceededException", "OverLimit", "QuotaExceeded"), QuotaError),
    **dict.fromkeys(
        ("PreconditionFailed", "ConditionalRequestConflict", "ResourceExistsException"), ConflictError
    ),
}
_STATUSES: Mapping[int, type[RejectedError]] = {
    401: AuthError,
    403: AuthError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
}
_MISSING = ("notfound", "nosuch", "nonexistent", "doesnotexist")


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
        if isinstance(known, AuthError):
            raise known from None  # AWS's own text may quote the signed request, session token included
        raise known from error


def translate(error: BaseException, what: str) -> PlatformError | None:
    """The platform's error for a botocore exception; None for what is not one of theirs."""
    import botocore.exceptions as aws
    from botocore.parsers import ResponseParserError

    if isinstance(error, ResponseParserError):
        return RetryableError(f"{what}: the answer breaks off or is none of AWS's", effect_unknown=True)
    if isinstance(error, aws.ClientError):
        return _from_answer(error, what)
    if not isinstance(error, aws.BotoCoreError):
        return None
    text = f"{what}: {' '.join(str(error).split())}"
    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError | aws.CredentialRetrievalError):
        return AuthError(f"{text} (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a role)")
    if isinstance(error, aws.NoRegionError):
        return ConfigError(f"{text} (set the region in the deployment or AWS_REGION)")
    if isinstance(error, aws.HTTPClientError | aws.ConnectionError | aws.IncompleteReadError):
        # Refused or never connected: nothing was sent. A lost answer may have had its effect.
        sent = not isinstance(error, aws.EndpointConnectionError | aws.ConnectTimeoutError)
        return RetryableError(text, effect_unknown=sent)
    return RejectedError(text)


def code_of(error: Any) -> str:
    """The error code of an answer, ``ResourceNotFoundException``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _from_answer(error: Any, what: str) -> PlatformError:
    meta = error.response.get("ResponseMetadata", {})
    status, code = int(meta.get("HTTPStatusCode") or 0), code_of(error)
    plain = code.lower()
    said = "" if "signature" in plain else error.response.get("Error", {}).get("Message", "")
    text = f"{what}: {code}: {said}"
    if status >= 500 or status == 429 or any(word in plain for word in _TRANSIENT):
        return RetryableError(text, retry_after=_retry_after(meta), effect_unknown=status >= 500)
    if any(word in plain for word in _MISSING):
        return NotFoundError(text)
    return (_CODES.get(code.rpartition(".")[2]) or _STATUSES.get(status) or RejectedError)(text)


def _retry_after(meta: Mapping[str, Any]) -> float | None:
    try:
        return float(meta.get("HTTPHeaders", {}).get("retry-after", ""))
    except ValueError:
        return None
