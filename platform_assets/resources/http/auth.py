"""How a secret is put on a request, per authentication type, and what of it no text may show.

Owns the OAuth 2 token (client credentials, RFC 6749 §4.4): fetched when first needed, again shortly before it ends,
and once more after a 401. Refuses secrets that cannot travel in a header or are not of the declared form.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from platform_assets.engine.errors import AuthError, ConfigError
from platform_assets.engine.ingestion.spec import (
    BasicAuth,
    BearerAuth,
    GoogleAuth,
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


Fetch = Callable[[str, Mapping[str, str], Mapping[str, str]], tuple[str, float]]


class Tokens:
    """Short-lived tokens, each kept for the most of its life. ``fetch(token_url, form, headers)`` gives (token,
    lifetime in seconds); ``clock`` gives seconds that never go back."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = threading.Lock()
        self._token, self._ends = "", 0.0

    def _ask(self) -> tuple[str, float]:
        raise NotImplementedError

    def _own_secrets(self) -> Iterable[str]:
        raise NotImplementedError

    def headers(self) -> Pairs:
        with self._lock:
            if not self._token or self._clock() >= self._ends:
                self._token, lifetime = self._ask()
                self._ends = self._clock() + max(lifetime - 30, lifetime / 2)
            return (("Authorization", f"Bearer {self._token}"),)

    def params(self) -> Pairs:
        return ()

    def renew(self) -> bool:
        with self._lock:
            self._token = ""
        return True

    def secrets(self) -> Iterable[str]:
        return [s for s in (*self._own_secrets(), self._token) if s]


class ClientCredentials(Tokens):
    """OAuth 2 client credentials, RFC 6749 §4.4."""

    def __init__(self, spec: OAuth2Auth, secret: str, fetch: Fetch, clock: Callable[[], float]) -> None:
        super().__init__(fetch, clock)
        self._client_id, colon, self._client_secret = secret.partition(":")
        if not colon or not self._client_id or not self._client_secret:
            raise AuthError("the secret for oauth2_client_credentials must be client_id:client_secret")
        self._spec, self._secret = spec, secret

    def _ask(self) -> tuple[str, float]:
        pair = base64.b64encode(f"{self._client_id}:{self._client_secret}".encode()).decode()
        scope = {"scope": self._spec.scope} if self._spec.scope else {}
        form = {"grant_type": "client_credentials", **scope}
        return self._fetch(self._spec.token_url, form, {"Authorization": f"Basic {pair}"})

    def _own_secrets(self) -> Iterable[str]:
        return [self._secret, self._client_secret]


class ServiceAccount(Tokens):
    """A Google service account: a signed assertion for a token, RFC 7523. ``now`` gives the wall clock in seconds."""

    def __init__(
        self,
        spec: GoogleAuth,
        secret: str,
        fetch: Fetch,
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        super().__init__(fetch, clock)
        self._spec, self._now = spec, now
        try:
            self._info = json.loads(secret)
            self._email, self._key = str(self._info["client_email"]), str(self._info["private_key"])
        except (ValueError, KeyError, TypeError):
            raise AuthError("the secret is not a service account's JSON key") from None

    def _ask(self) -> tuple[str, float]:
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": self._assertion()}
        return self._fetch(self._spec.token_url, form, {})

    def _assertion(self) -> str:
        from google.auth import crypt, jwt

        issued = int(self._now())
        claims = {
            "iss": self._email,
            "scope": " ".join(self._spec.scopes),
            "aud": self._spec.token_url,
            "iat": issued,
            "exp": issued + 3600,
        }
        try:
            signer: Any = crypt.RSASigner.from_service_account_info(self._info)  # type: ignore[no-untyped-call]
        except (ValueError, KeyError):
            raise AuthError("the service account's private key cannot be read") from None
        signed: bytes = jwt.encode(signer, claims)  # type: ignore[no-untyped-call]
        return signed.decode()

    def _own_secrets(self) -> Iterable[str]:
        return [self._key]


def authorizer(
    provider: ProviderSpec,
    secret: Secret | None,
    fetch: Fetch,
    clock: Callable[[], float],
    now: Callable[[], float] = time.time,
) -> Authorizer:
    """AuthError where the secret is missing or unusable for the provider's declared authentication."""
    auth = provider.auth
    if isinstance(auth, NoAuth):
        return Fixed()
    if isinstance(auth, GoogleAuth):  # a JSON text, which may have line ends
        return ServiceAccount(auth, _given(provider.provider, secret), fetch, clock, now)
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


def _given(provider: str, secret: Secret | None) -> str:
    if secret is None:
        raise ConfigError(f"provider {provider} needs a credential, and the tenant names no secret for it")
    return secret.reveal()


def _usable(provider: str, secret: Secret | None) -> str:
    value = _given(provider, secret)
    if not value or not value.isascii() or not value.isprintable() or value != value.strip():
        raise AuthError(
            f"the secret for {provider} is empty or has spaces, line ends or non-ASCII characters around or in it"
        )
    return value
