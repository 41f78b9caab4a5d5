"""Secrets of AWS Secrets Manager, one per tenant and name, the current version."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from platform_assets.engine.errors import NotFoundError
from platform_assets.ports import Secret
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.aws_errors import translated
from platform_assets.resources.secrets.naming import (
    DEFAULT_PATTERN,
    Remembered,
    check_pattern,
    decoded,
    secret_id,
)


class AwsSecretStoreSettings(AwsSettings):
    """``stage`` is the version stage that is read."""

    pattern: Annotated[str, AfterValidator(check_pattern)] = DEFAULT_PATTERN
    stage: str = "AWSCURRENT"
    cache_seconds: Annotated[float, Field(ge=0)] = 300.0


class AwsSecretStore:
    """See ``ports.SecretStore``."""

    def __init__(
        self, settings: AwsSecretStoreSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self._remembered = Remembered(settings.cache_seconds, clock)
        self._opened: Any = None

    def get(self, tenant: str, name: str) -> Secret:
        """NotFoundError and AuthError name tenant, secret and region."""
        key = secret_id(self.settings.pattern, tenant, name)
        return self._remembered.get(key, lambda: self._fetch(tenant, name, key))

    def _fetch(self, tenant: str, name: str, key: str) -> Secret:
        where = f"secret {name!r} of tenant {tenant} ({key} in Secrets Manager of {self.settings.region})"
        try:
            with translated(where):
                answer = self._client().get_secret_value(SecretId=key, VersionStage=self.settings.stage)
        except NotFoundError as error:
            raise NotFoundError(f"{where} was not found") from error
        text: str | None = answer.get("SecretString")
        return decoded(answer["SecretBinary"] if text is None else text.encode(), where)

    def _client(self) -> Any:
        if self._opened is None:
            with translated("open Secrets Manager"):
                self._opened = connect("secretsmanager", self.settings)
        return self._opened
