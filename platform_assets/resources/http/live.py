"""Providers' APIs over the network: httpx for the exchange, tenacity for the retries.

Owns where a credential goes (the declared scheme, host and port, nowhere else), how fast, how often again, and what
an answer means: 2xx is returned, 401/403 AuthError, 404 NotFoundError, other 4xx RejectedError, 429 and 5xx and lost
connections RetryableError once the retries are used up. No secret is ever part of an error, a log line or a repr, nor
of an answer that echoes it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urljoin, urlsplit, urlunsplit

from pydantic import Field

from platform_assets.engine.errors import (
    AuthError,
    ConfigError,
    DataError,
    NotFoundError,
    PlatformError,
    RejectedError,
    RetryableError,
)
from platform_assets.engine.ingestion.http import HttpRequest, HttpResponse, HttpSource
from platform_assets.engine.ingestion.spec import GoogleAuth, OAuth2Auth, ProviderSpec, Retry
from platform_assets.engine.spec import Spec
from platform_assets.ports import Secret
from platform_assets.resources.http.auth import Authorizer, authorizer
from platform_assets.resources.http.guard import Allowance, check_url, guarded_transport, origin, shown
from platform_assets.resources.http.rate import PROCESS_LIMITERS, Limiters, RateLimiter
from platform_assets.resources.redaction import redact, redact_bytes

if TYPE_CHECKING:
    import httpx

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_UNLIMITED = 600_000
_LONGEST_QUOTED = 1024 * 1024
_SURELY_SECRET = 16  # characters


class Settings(Spec):
    """``base_urls`` and ``requests_per_minute`` override a provider's own, by provider name. A provider's limit is
    about its own address: with an overridden one only ``requests_per_minute`` limits."""

    base_urls: dict[str, str] = {}
    requests_per_minute: dict[str, int] = {}
    allow_loopback: bool = False
    private_hosts: frozenset[str] = frozenset()
    connect_timeout_seconds: float = Field(default=10.0, gt=0)
    max_answer_bytes: int = Field(default=512 * 1024 * 1024, gt=0)
    max_answer_seconds: float = Field(default=600.0, gt=0)
    connections: int = Field(default=16, ge=1)


class LiveHttp:
    """The HttpSources port over the network. ``limiters`` bring the clock and the way to wait; those of the
    process are shared by all its slices."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        limiters: Limiters = PROCESS_LIMITERS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings or Settings()
        self.limiters, self.now = limiters, now
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def open(self, provider: ProviderSpec, secret: Secret | None) -> HttpSource:
        """ConfigError for an address that is not allowed, AuthError for an unusable secret."""
        base = self.settings.base_urls.get(provider.provider, provider.base_url)
        check_url(base, self._allowance)
        if isinstance(provider.auth, OAuth2Auth | GoogleAuth):
            check_url(provider.auth.token_url, self._allowance)
        return LiveSource(self, provider, base, secret)

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None

    @property
    def _allowance(self) -> Allowance:
        return Allowance(self.settings.allow_loopback, self.settings.private_hosts)

    def limiter(self, provider: ProviderSpec, secret: Secret | None) -> RateLimiter:
        name, settings = provider.provider, self.settings
        declared = _UNLIMITED if name in settings.base_urls else provider.rate_limit.requests_per_minute
        per_minute = settings.requests_per_minute.get(name, declared)
        key = hashlib.sha256((secret.reveal() if secret else "").encode()).hexdigest()
        return self.limiters.of(name, key, per_minute)

    def client(self) -> httpx.Client:
        """One connection pool for all sources; made when the first request is sent."""
        import httpx

        with self._lock:
            if self._client is None:
                # httpx logs every URL at INFO, and a query parameter may be a credential.
                logging.getLogger("httpx").setLevel(logging.WARNING)
                transport = guarded_transport(self._allowance, self.settings.connections)
                self._client = httpx.Client(transport=transport, trust_env=False, follow_redirects=False)
            return self._client


class LiveSource:
    """One provider for one credential."""

    def __init__(self, http: LiveHttp, provider: ProviderSpec, base_url: str, secret: Secret | None) -> None:
        self._http, self._provider, self._base = http, provider, base_url.rstrip("/")
        self._declared = provider.base_url.rstrip("/")
        self._auth: Authorizer = authorizer(provider, secret, self._fetch_token, http.limiters.clock)
        self._limiter = http.limiter(provider, secret)
        self._timeout = (
            http.settings.connect_timeout_seconds,
            provider.timeout_seconds,
        )

    def __repr__(self) -> str:
        return f"LiveSource({self._provider.provider!r}, {shown(self._base)!r})"

    def send(self, request: HttpRequest) -> HttpResponse:
        """See HttpSource. The request's URL may name the provider's declared address or its override."""
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        request = replace(request, url=self._rebased(request.url))
        policy = self._provider.retry
        retrying = Retrying(
            stop=stop_after_attempt(policy.max_attempts),
            wait=lambda state: _wait(policy, state.attempt_number, state.outcome),
            retry=retry_if_exception_type(RetryableError),
            sleep=self._http.limiters.sleep,
            reraise=True,
        )
        return retrying(self._attempt, request)

    # --- Where to ---

    def _rebased(self, url: str) -> str:
        if url == self._declared or url.startswith(f"{self._declared}/"):
            url = self._base + url[len(self._declared) :]
        if origin(url) != origin(self._base):
            raise RejectedError(
                f"{self._name}: {shown(url)} is not on {shown(self._base)}; the credential is not sent there"
            )
        return url

    # --- One attempt ---

    def _attempt(self, request: HttpRequest) -> HttpResponse:
        answer = self._exchange(request)
        if answer.status == 401 and self._auth.renew():
            answer = self._exchange(request)
        return self._judged(request, answer)

    def _exchange(self, request: HttpRequest) -> HttpResponse:
        """Send, following redirects that stay on the host."""
        for _ in range(_MAX_REDIRECTS + 1):
            self._limiter.acquire()
            answer = self._once(request)
            if answer.status not in _REDIRECTS:
                return answer
            request = self._redirected(request, answer)
        raise RejectedError(f"{self._name}: more than {_MAX_REDIRECTS} redirects from {shown(request.url)}")

    def _redirected(self, request: HttpRequest, answer: HttpResponse) -> HttpRequest:
        location = answer.headers.get("location", "")
        target = urljoin(answer.url, location)
        if not location or _origin_or_none(target) != origin(self._base):
            raise RejectedError(
                f"{self._name}: HTTP {answer.status} from {shown(request.url)} redirects to "
                f"{self._clean(shown(target))}, not the declared host; not followed"
            )
        if request.method == "POST" and answer.status not in {307, 308}:
            raise RejectedError(
                f"{self._name}: a POST was redirected with HTTP {answer.status}; not followed"
            )
        return replace(request, url=target, params=())

    def _once(self, request: HttpRequest) -> HttpResponse:
        secret = self._auth.params()
        headers = [("Accept", "application/json"), *self._provider.headers.items(), *request.headers]
        url, params = _merged(request, secret)
        body = self._transmit(
            request.method, url, params, _combined(headers, self._auth.headers()), request.json
        )
        return replace(body, url=_merged(request, ())[0])

    def _transmit(
        self,
        method: str,
        url: str,
        params: tuple[tuple[str, str], ...],
        headers: list[tuple[str, str]],
        json: Any,
    ) -> HttpResponse:
        import httpx

        connect, read = self._timeout
        timeout = httpx.Timeout(read, connect=connect)
        try:
            client = self._http.client()
            # A tuple of pairs keeps repeats; None leaves the URL's own query alone.
            built = client.build_request(
                method, url, params=params or None, headers=headers, json=json, timeout=timeout
            )
            answer = client.send(built, stream=True)
            try:
                content = self._content(answer, shown(url))
            finally:
                answer.close()
        except httpx.TimeoutException as error:
            raise RetryableError(f"{self._name}: {type(error).__name__} at {shown(url)}") from None
        except httpx.TransportError as error:
            text = self._clean(str(error))
            raise RetryableError(f"{self._name}: {shown(url)}: {text or type(error).__name__}") from None
        except (httpx.InvalidURL, httpx.DecodingError, UnicodeError, ValueError) as error:
            raise RejectedError(f"{self._name}: {shown(url)}: {self._clean(str(error))}") from None
        return HttpResponse(answer.status_code, _plain(answer.headers), content, url)

    def _content(self, answer: httpx.Response, url: str) -> bytes:
        """The whole body, within the limits of size and time."""
        limit, deadline = self._http.settings.max_answer_bytes, self._http.settings.max_answer_seconds
        ends, chunks, size = time.monotonic() + deadline, [], 0
        for chunk in answer.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > limit:
                raise DataError(f"{self._name}: the answer of {url} is larger than {limit} bytes")
            if time.monotonic() > ends:
                raise RetryableError(f"{self._name}: the answer of {url} took longer than {deadline} s")
        return b"".join(chunks)

    # --- What an answer means ---

    def _judged(self, request: HttpRequest, answer: HttpResponse) -> HttpResponse:
        if 200 <= answer.status < 300:
            return self._unechoed(answer)
        text = f"{self._name}: HTTP {answer.status} from {request.method} {shown(request.url)}"
        text += self._excerpt(answer.body)
        if answer.status == 429 or answer.status >= 500 or answer.status == 408:
            after = retry_after(answer.headers, self._http.now())
            if after is not None and answer.status in {429, 503}:
                self._limiter.pause(min(after, self._provider.retry.max_wait_seconds))
            raise RetryableError(text, retry_after=after)
        raise _REFUSALS.get(answer.status, RejectedError)(text)

    def _excerpt(self, body: bytes) -> str:
        """The first words of a refusal. Looked through as a whole: half a secret at a cut would not be known."""
        if len(body) > _LONGEST_QUOTED:
            return f": {len(body)} bytes, not quoted"
        text = " ".join(self._clean(body.decode(errors="replace")).split())
        return f": {text[:300]}" if text else ""

    def _unechoed(self, answer: HttpResponse) -> HttpResponse:
        """Some APIs repeat the request in their answer, or the key in the link to the next page. What is too short to
        be known for sure is left alone: data are never changed by chance."""
        secrets = [secret for secret in self._auth.secrets() if len(secret) >= _SURELY_SECRET]
        if not secrets:
            return answer
        headers = {name: redact(value, secrets) for name, value in answer.headers.items()}
        return replace(answer, headers=headers, body=redact_bytes(answer.body, secrets))

    def _clean(self, text: str) -> str:
        return redact(text, self._auth.secrets())

    @property
    def _name(self) -> str:
        return self._provider.provider

    # --- OAuth 2 ---

    def _fetch_token(
        self, token_url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[str, float]:
        import httpx

        try:
            answer = self._http.client().post(
                token_url, data=dict(form), headers=dict(headers), timeout=self._timeout[1]
            )
        except httpx.TransportError as error:
            raise RetryableError(
                f"{self._name}: no token from {shown(token_url)}: {type(error).__name__}"
            ) from None
        return _token(self._name, shown(token_url), answer.status_code, answer.content)


_REFUSALS: Mapping[int, type[PlatformError]] = {401: AuthError, 403: AuthError, 404: NotFoundError}


def _token(name: str, url: str, status: int, body: bytes) -> tuple[str, float]:
    import msgspec

    if status >= 500 or status == 429:
        raise RetryableError(f"{name}: HTTP {status} from the token endpoint {url}")
    try:
        answer = msgspec.json.decode(body) if status == 200 else {}
    except msgspec.DecodeError:
        answer = {}
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token:
        raise AuthError(f"{name}: the token endpoint {url} gave no access token (HTTP {status})")
    lifetime = answer.get("expires_in", 300)
    return token, float(lifetime) if isinstance(lifetime, int | float | str) else 300.0


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that the source wishes to be left alone: RFC 9110 §10.2.3, a number or an HTTP date."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        return max(0.0, float(text)) if text[0].isdigit() else _seconds_until(text, now)
    except (ValueError, TypeError, OverflowError):
        return None


def _seconds_until(text: str, now: datetime) -> float:
    moment = parsedate_to_datetime(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _wait(policy: Retry, attempt: int, outcome: Any) -> float:
    """The doubled wait or the source's wish, whichever is longer, up to the cap."""
    error = outcome.exception() if outcome is not None else None
    wish = error.retry_after if isinstance(error, RetryableError) else None
    backoff = policy.initial_seconds * 2.0 ** (attempt - 1)
    return min(max(backoff, wish or 0.0), policy.max_wait_seconds)


def _merged(
    request: HttpRequest, secret: tuple[tuple[str, str], ...]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """URL without query, and all parameters. A next link may carry its own query; ours win by name, and a
    credential echoed in it is replaced, never doubled."""
    parts = urlsplit(request.url)
    given = (*request.params, *secret)
    names = {name for name, _ in given}
    own = tuple(p for p in parse_qsl(parts.query, keep_blank_values=True) if p[0] not in names)
    bare = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
    return bare, (*own, *given)


def _combined(headers: list[tuple[str, str]], secret: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    """Declared headers; a later one of the same name wins, and the credential wins over all."""
    merged = {name.lower(): (name, value) for name, value in (*headers, *secret)}
    return list(merged.values())


def _plain(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _origin_or_none(url: str) -> tuple[str, str, int] | None:
    try:
        return origin(url)
    except ConfigError:
        return None
