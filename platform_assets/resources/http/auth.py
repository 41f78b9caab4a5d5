"""How a secret is put on a request, per authentication type, and how it is kept out of every text.

Owns the OAuth 2 token (client credentials, RFC 6749 §4.4): fetched when first needed, again shortly before it ends,
and once more after a 401. Refuses secrets that cannot travel in a header or are not of the declared form.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol
from urllib.parse import quote, quote_plus

from platform_assets.engine.errors import AuthError, ConfigError
from platform_assets.engine.ingestion.spec import (
    BasicAuth,
    BearerAuth,
    HeaderAuth,
    NoAuth,
    OAuth2Auth,
    ProviderSpec,
    QueryAuth,
)
from platform_assets.ports import Secret

Pairs = tuple[tuple[str, str], ...]


class Authorizer(Protocol):
    """What to add to a request. ``renew`` is asked after a 401: True means that trying again makes sense."""

    def headers(self) -> Pairs: ...
    def params(self) -> Pairs: ...
    def renew(self) -> bool: ...
    def secrets(self) -> Iterable[str]:
        """Every text that must not show up anywhere."""


class Fixed:
    """A credential that is the same on every request."""

    def __init__(self, secrets: Iterable[str] = (), headers: Pairs = (), params: Pairs = ()) -> None:
        self._secrets, self._headers, self._params = tuple(secrets), headers, params

    def headers(self) -> Pairs:
        return self._headers

    def params(self) -> Pairs:
        return self._params

    def renew(self) -> bool:
        return False

    def secrets(self) -> Iterable[str]:
        return self._secrets


class ClientCredentials:
    """OAuth 2 client credentials. ``fetch(token_url, client_id, client_secret, scope)`` gives (token, lifetime
    in seconds); ``clock`` gives seconds that never go back."""

    def __init__(
        self,
        spec: OAuth2Auth,
        secret: str,
        fetch: Callable[[str, str, str, str | None], tuple[str, float]],
        clock: Callable[[], float],
    ) -> None:
        self._client_id, colon, self._client_secret = secret.partition(":")
        if not colon or not self._client_id or not self._client_secret:
            raise AuthError("the secret for oauth2_client_credentials must be client_id:client_secret")
        self._spec, self._fetch, self._clock = spec, fetch, clock
        self._lock = threading.Lock()
        self._token, self._ends = "", 0.0

    def headers(self) -> Pairs:
        with self._lock:
            if not self._token or self._clock() >= self._ends:
                self._token, lifetime = self._fetch(
                    self._spec.token_url, self._client_id, self._client_secret, self._spec.scope
                )
                self._ends = self._clock() + max(lifetime - 30, lifetime / 2)
            return (("Authorization", f"Bearer {self._token}"),)

    def params(self) -> Pairs:
        return ()

    def renew(self) -> bool:
        with self._lock:
            self._token = ""
        return True

    def secrets(self) -> Iterable[str]:
        return [s for s in (self._client_secret, self._token) if s]


def authorizer(
    provider: ProviderSpec,
    secret: Secret | None,
    fetch: Callable[[str, str, str, str | None], tuple[str, float]],
    clock: Callable[[], float],
) -> Authorizer:
    """AuthError where the secret is missing or unusable for the provider's declared authentication."""
    auth = provider.auth
    if isinstance(auth, NoAuth):
        return Fixed()
    value = _usable(provider.provider, secret)
    if isinstance(auth, OAuth2Auth):
        return ClientCredentials(auth, value, fetch, clock)
    return _FIXED[type(auth)](auth, value)


def _bearer(auth: BearerAuth, value: str) -> Fixed:
    return Fixed([value], headers=(("Authorization", f"Bearer {value}"),))


def _header(auth: HeaderAuth, value: str) -> Fixed:
    return Fixed([value], headers=((auth.header, f"{auth.prefix}{value}"),))


def _query(auth: QueryAuth, value: str) -> Fixed:
    return Fixed([value], params=((auth.param, value),))


def _basic(auth: BasicAuth, value: str) -> Fixed:
    pair = value if auth.username is None else f"{auth.username}:{value}"
    if ":" not in pair:
        raise AuthError("the secret for basic authentication must be user:password")
    encoded = base64.b64encode(pair.encode()).decode()
    password = pair.partition(":")[2]
    return Fixed([encoded, password, value], headers=(("Authorization", f"Basic {encoded}"),))


_FIXED: dict[type, Callable[[Any, str], Fixed]] = {
    BearerAuth: _bearer,
    HeaderAuth: _header,
    QueryAuth: _query,
    BasicAuth: _basic,
}


def _usable(provider: str, secret: Secret | None) -> str:
    if secret is None:
        raise ConfigError(f"provider {provider} needs a credential, and the tenant names no secret for it")
    value = secret.reveal()
    if not value or not value.isascii() or not value.isprintable() or value != value.strip():
        raise AuthError(
            f"the secret for {provider} is empty or has spaces, line ends or non-ASCII characters around or in it"
        )
    return value


def redact(text: str, secrets: Iterable[str]) -> str:
    """``text`` without the secrets, also where they are URL-encoded."""
    for secret in sorted(secrets, key=len, reverse=True):
        for form in (secret, quote(secret, safe=""), quote_plus(secret)):
            if form:
                text = text.replace(form, "***")
    return text
