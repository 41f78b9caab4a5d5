"""Secrets from environment variables, then from files: for one machine, and for containers that mount secrets.

``PLATFORM_SECRET__<TENANT>__<NAME>`` in capitals, ``-`` written as ``_``; else the file ``<folder>/<tenant>/<name>``
or ``<name>.txt``. Refuses names that are no plain names, so no name reaches another tenant's folder.
A name whose variable another tenant could claim too (``__`` inside, ``_`` at an end) is looked for in files only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from platform_assets.engine.errors import NotFoundError, RejectedError
from platform_assets.engine.names import valid_tenant
from platform_assets.engine.spec import Spec
from platform_assets.ports import Secret
from platform_assets.resources.secrets.naming import decoded

PREFIX = "PLATFORM_SECRET__"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,126}")
_UNAMBIGUOUS = re.compile(r"[A-Z0-9]+(_[A-Z0-9]+)*")


class EnvironmentSecretsSettings(Spec):
    """``folder``: where the files are; None leaves them out. Relative to the working directory."""

    folder: str | None = None


class EnvironmentSecretStore:
    """See ``ports.SecretStore``. Nothing is cached: a rotated secret is used at once."""

    def __init__(self, settings: EnvironmentSecretsSettings, environment: Mapping[str, str]) -> None:
        self._folder = Path(settings.folder) if settings.folder else None
        self._variable = environment.get  # the mapping itself would show every secret in a debugger or a dump

    def get(self, tenant: str, name: str) -> Secret:
        if not valid_tenant(tenant) or not _NAME.fullmatch(name):
            raise RejectedError(f"{tenant!r}/{name!r} cannot name a secret")
        variable = variable_name(tenant, name)
        value = self._variable(variable) if variable else None
        if value:
            return decoded(value.encode(), f"environment variable {variable}")
        return self._from_file(tenant, name)

    def _looked(self, tenant: str, name: str) -> str:
        variable = variable_name(tenant, name)
        places = [f"environment variable {variable}"] if variable else []
        places += [f"file {self._folder / tenant / name}"] if self._folder else []
        return "looked for " + " and ".join(
            places or ["nothing: no folder is set, and the name is ambiguous"]
        )

    def _from_file(self, tenant: str, name: str) -> Secret:
        for file in (name, f"{name}.txt") if self._folder else ():
            path = (self._folder or Path()) / tenant / file
            if path.is_file():
                return decoded(_read(path), f"file {path}")
        raise NotFoundError(f"tenant {tenant} has no secret {name!r}: {self._looked(tenant, name)}")


def variable_name(tenant: str, name: str) -> str | None:
    """``("acme1281", "openai_admin_key")`` → ``PLATFORM_SECRET__ACME1281__OPENAI_ADMIN_KEY``; None if ambiguous."""
    parts = [part.upper().replace("-", "_") for part in (tenant, name)]
    return PREFIX + "__".join(parts) if all(map(_UNAMBIGUOUS.fullmatch, parts)) else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RejectedError(f"secret file {path} cannot be read: {error.strerror}") from None
