"""BigQuery jobs: started once, waited for, started anew where BigQuery says so, their errors in our tree.

Owns the rule that a job's id is chosen here. A lost answer to "start" is asked again under the same id, and 409
"already exists" means that the first request arrived: no job ever runs twice. A job that failed has had no effect,
so it may be started anew under the next attempt's id.
Source: cloud.google.com/bigquery/docs/error-messages, …/running-jobs#generate-jobid.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from platform_assets.engine.errors import (
    AuthError,
    ConflictError,
    DataError,
    NotFoundError,
    PlatformError,
    QuotaError,
    RejectedError,
    RetryableError,
)
from platform_assets.resources.google_errors import translate
from platform_assets.resources.retrying import retried, wait_seconds

_RETRYABLE = frozenset(
    {
        *("rateLimitExceeded", "jobRateLimitExceeded", "backendError", "jobBackendError"),
        *("internalError", "jobInternalError", "tableUnavailable"),
    }
)
_KINDS: Mapping[str, type[PlatformError]] = {
    "accessDenied": AuthError,
    "billingNotEnabled": AuthError,
    "quotaExceeded": QuotaError,
    "bytesBilledLimitExceeded": QuotaError,
    "billingTierLimitExceeded": QuotaError,
    "resourcesExceeded": QuotaError,
    "responseTooLarge": QuotaError,
    "notFound": NotFoundError,
    "duplicate": ConflictError,
}
# Said by the text alone; the reason beside it is the general "invalidQuery" or "quotaExceeded".
_PASSING = re.compile(
    r"aborted due to concurrent update|Could not serialize access|Too many DML statements outstanding"
    r"|Failed to commit DuckLake transaction",  # the emulator's words for the first
    re.I,
)
_BYTES = re.compile(r"exceeded limit for bytes billed", re.I)
_DATA = re.compile(
    r"cannot be null|NOT NULL constraint|staged rows lie outside|would change a value|null element"
    r"|Bad \w+ value|Could not convert|Invalid (date|timestamp|NUMERIC|BIGNUMERIC)|out of range|overflow"
    r"|must match at most one source row",
    re.I,
)


@dataclass(frozen=True)
class Patience:
    """How often a request or a job is tried, and how long one job may take."""

    attempts: int
    backoff_seconds: float
    job_seconds: float


def unique(prefix: str) -> str:
    """A base of a job id that nobody else has."""
    return f"{prefix}_{uuid.uuid4().hex}"


def digest(base_id: str) -> str:
    """A short name for a base id."""
    return hashlib.sha256(base_id.encode()).hexdigest()[:12]


def run(
    what: str,
    base_id: str,
    start: Callable[[str], Any],
    find: Callable[[str], Any],
    patience: Patience,
    sleep: Callable[[float], None] = time.sleep,
) -> Any:
    """The finished job. ``start`` begins it under an id, ``find`` fetches it by id; both are one request.

    Raises the job's error: RetryableError only after all attempts, ``effect_unknown`` where the job may still run.
    """
    caller = _Caller(what, find, patience, sleep)
    attempt = 1
    while True:
        job = caller.finished(caller.started(start, f"{base_id}_{attempt}"))
        error = job_error(what, job.error_result)
        if error is None:
            return job
        if not isinstance(error, RetryableError) or attempt >= patience.attempts:
            raise error
        sleep(wait_seconds(attempt, error, patience.backoff_seconds))
        attempt += 1


@dataclass(frozen=True)
class _Caller:
    what: str
    find: Callable[[str], Any]
    patience: Patience
    sleep: Callable[[float], None]

    def started(self, start: Callable[[str], Any], job_id: str) -> Any:
        try:
            return self._retried(lambda: start(job_id))
        except ConflictError:
            return self._retried(lambda: self._existing(job_id))

    def _existing(self, job_id: str) -> Any:
        """BigQuery may refuse an id as taken, and only later show the job that took it."""
        from google.api_core.exceptions import NotFound

        try:
            return self.find(job_id)
        except NotFound as error:
            raise RetryableError(
                f"{self.what}: job {job_id} does not show yet", effect_unknown=True
            ) from error

    def finished(self, job: Any) -> Any:
        """Ask until it is done, soon at first, then every two seconds."""
        waited, pause = 0.0, 0.05
        while job.state != "DONE":
            if waited >= self.patience.job_seconds:
                raise RetryableError(
                    f"{self.what}: job {job.job_id} still runs after {waited:.0f} s", effect_unknown=True
                )
            self.sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, 2.0)
            job = self._retried(partial(self.find, job.job_id))
        return job

    def _retried(self, call: Callable[[], Any]) -> Any:
        def once() -> Any:
            try:
                return call()
            except Exception as error:
                raise known(error, self.what) from error

        return retried(
            once,
            attempts=self.patience.attempts,
            backoff_seconds=self.patience.backoff_seconds,
            sleep=self.sleep,
        )


def known(error: Exception, what: str) -> Exception:
    """A request's failure in our tree; the error itself where it is neither ours nor a client library's."""
    if isinstance(error, PlatformError):
        return error
    found = translate(error, what)
    return error if found is None else by_text(found)


def job_error(what: str, result: Mapping[str, Any] | None) -> PlatformError | None:
    """A job's ``errorResult`` in our tree. Data that does not fit is a DataError, a statement that cannot run a
    RejectedError; quotas are never tried again."""
    if not result:
        return None
    reason, message = str(result.get("reason", "")), " ".join(str(result.get("message", "")).split())
    text = f"{what}: {message or reason}"
    if reason in _RETRYABLE:
        return RetryableError(text)
    return by_text((_KINDS.get(reason) or RejectedError)(text))


def by_text(error: PlatformError) -> PlatformError:
    """The same error under the class that its text asks for; BigQuery's reasons are too coarse for some."""
    text = str(error)
    if _PASSING.search(text):
        return RetryableError(text)
    if _BYTES.search(text):
        return QuotaError(text)
    return DataError(text) if type(error) is RejectedError and _DATA.search(text) else error
