"""Secrets of Google Secret Manager, one per tenant and name, the newest enabled version."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from platform_assets.engine.errors import ConfigError, NotFoundError
from platform_assets.engine.spec import Spec
from platform_assets.ports import Secret
from platform_assets.resources.google_errors import translated
from platform_assets.resources.retrying import retried
from platform_assets.resources.secrets.naming import (
    DEFAULT_PATTERN,
    Remembered,
    check_pattern,
    decoded,
    secret_id,
)

if TYPE_CHECKING:
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient


class GoogleSecretStoreSettings(Spec):
    """``endpoint`` beginning with ``http://`` speaks REST without credentials: for emulators only."""

    project_id: str
    pattern: Annotated[str, AfterValidator(check_pattern)] = DEFAULT_PATTERN
    version: str = "latest"
    endpoint: str | None = None
    cache_seconds: Annotated[float, Field(ge=0)] = 300.0
    timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 4
    backoff_seconds: Annotated[float, Field(ge=0)] = 1.0


class GoogleSecretStore:
    """See ``ports.SecretStore``."""

    def __init__(
        self,
        settings: GoogleSecretStoreSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self._sleep = sleep
        self._remembered = Remembered(settings.cache_seconds, clock)
        self._opened: SecretManagerServiceClient | None = None

    def get(self, tenant: str, name: str) -> Secret:
        """NotFoundError, AuthError, RejectedError (a disabled version) name tenant, secret and project."""
        key = secret_id(self.settings.pattern, tenant, name)
        return self._remembered.get(key, lambda: self._fetch(tenant, name, key))

    def _fetch(self, tenant: str, name: str, key: str) -> Secret:
        settings = self.settings
        where = f"secret {name!r} of tenant {tenant} ({key} in Secret Manager of {settings.project_id})"
        try:
            payload = retried(
                lambda: self._access(key, where),
                attempts=settings.max_attempts,
                backoff_seconds=settings.backoff_seconds,
                sleep=self._sleep,
            )
        except NotFoundError as error:
            raise NotFoundError(f"{where} was not found") from error
        return decoded(payload, where)

    def _access(self, key: str, where: str) -> bytes:
        path = f"projects/{self.settings.project_id}/secrets/{key}/versions/{self.settings.version}"
        with translated(where):
            answer = self._client().access_secret_version(
                name=path, retry=None, timeout=self.settings.timeout_seconds
            )
        return bytes(answer.payload.data)

    def _client(self) -> SecretManagerServiceClient:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> SecretManagerServiceClient:
        try:
            from google.auth.credentials import AnonymousCredentials
            from google.cloud.secretmanager_v1 import SecretManagerServiceClient
        except ImportError as error:
            raise ConfigError(
                "secrets: install google-cloud-secret-manager, or choose another kind"
            ) from error
        endpoint = self.settings.endpoint
        if endpoint is None:
            return SecretManagerServiceClient()
        if not endpoint.startswith("http://"):
            return SecretManagerServiceClient(client_options={"api_endpoint": endpoint})
        return SecretManagerServiceClient(
            transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": endpoint}
        )
