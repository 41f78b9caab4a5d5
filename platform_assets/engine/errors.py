"""The one error tree. Adapters translate vendor exceptions into it; nobody else catches vendor exceptions.

What a caller may do with an error is decided by its class, never by its text:
retry (``RetryableError``), give up (``RejectedError``, ``DataError``), or fix the configuration (``ConfigError``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class PlatformError(Exception):
    """Root of every error this project raises on purpose."""


class RetryableError(PlatformError):
    """The same request may succeed later: connection lost, timeout, throttled, 5xx.

    ``retry_after`` is the source's own wish in seconds, where it gave one.
    ``effect_unknown`` is true when the request may have taken effect although no answer came.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, effect_unknown: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.effect_unknown = effect_unknown


class RejectedError(PlatformError):
    """The other side understood and refused: repeating the same request cannot help."""


class AuthError(RejectedError):
    """Credentials are missing, wrong, expired, or lack a right."""


class NotFoundError(RejectedError):
    """The named table, object, queue, secret or endpoint does not exist."""


class ConflictError(RejectedError):
    """A conditional write lost: the object exists already, or its version moved on."""


class PartialError(RejectedError):
    """Done for some of those concerned, refused for others; doing it again would repeat it for the first."""


class QuotaError(RejectedError):
    """A quota or a byte limit is used up; retrying soon makes it worse."""


class DataError(PlatformError):
    """A payload, row or message is not what its contract says. Names the place and the value."""


class PartialWriteError(RejectedError):
    """Some of what was to be written was, and these series were not. ``failures``: series in words → its error."""

    def __init__(self, failures: Mapping[str, PlatformError]) -> None:
        super().__init__(_listing(failures))
        self.failures = failures


class PartialWriteRetryableError(RetryableError):
    """As ``PartialWriteError``, but some failures may pass."""

    def __init__(self, failures: Mapping[str, PlatformError]) -> None:
        super().__init__(_listing(failures))
        self.failures = failures


def _listing(failures: Mapping[str, PlatformError]) -> str:
    lines = "".join(f"\n  {series}: {error}" for series, error in failures.items())
    return f"{len(failures)} series were not written:{lines}"


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in the configuration: where it stands, why, and the nearest valid name."""

    file: str
    line: int
    field: str
    reason: str
    nearest: str | None = None

    def __str__(self) -> str:
        hint = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        field = f" {self.field}:" if self.field else ""
        return f"{self.file}:{self.line}:{field} {self.reason}{hint}"


class ConfigError(PlatformError):
    """The configuration cannot be used. Carries every problem found, not only the first."""

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__("\n".join([message, *(f"  {p}" for p in problems)]) if problems else message)
        self.problems = problems
