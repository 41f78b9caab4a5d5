"""What the secret stores share: under which id a tenant's secret is kept, and for how long it is remembered.

Refuses tenants and names that could reach beyond their own id. A pattern in which tenant and name meet in an
underscore (the default, for stores filled by the old platform) lets ``acme`` + ``corp_key`` and ``acme_corp`` +
``key`` be one id; ``{tenant}--{name}`` cannot: tenant ids have no hyphen.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from platform_assets.engine.errors import DataError, RejectedError
from platform_assets.engine.names import valid_tenant
from platform_assets.ports import Secret

DEFAULT_PATTERN = "{tenant}_{name}"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}")


def secret_id(pattern: str, tenant: str, name: str) -> str:
    """``("{tenant}_{name}", "acme1281", "openai")`` → ``acme1281_openai``."""
    if not valid_tenant(tenant):
        raise RejectedError(f"{tenant!r} is not a tenant id")
    if not _NAME.fullmatch(name):
        raise RejectedError(f"tenant {tenant}: {name!r} is not a secret name: letters, digits, _ and -")
    return pattern.replace("{tenant}", tenant).replace("{name}", name)


def check_pattern(pattern: str) -> str:
    """For settings: both parts must be there, or one tenant would get another's secret."""
    rest = pattern.replace("{tenant}", "", 1).replace("{name}", "", 1)
    if "{tenant}" not in pattern or "{name}" not in pattern or not re.fullmatch(r"[A-Za-z0-9_/+=.@-]*", rest):
        raise ValueError(f"{pattern!r} must hold {{tenant}} and {{name}} once each")
    return pattern


def decoded(payload: bytes, where: str) -> Secret:
    """UTF-8 text without the line end that ``echo`` leaves. The error names the place, never the value."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        # The decoder's own error quotes bytes of the secret, so it is not chained.
        raise DataError(f"{where} is not UTF-8 text") from None
    if not text.rstrip("\r\n"):
        raise DataError(f"{where} is empty")
    return Secret(text.rstrip("\r\n"))


class Remembered:
    """Secrets by id for ``seconds`` each, so that a rotated one is noticed without a restart. Errors are not kept."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._kept: dict[str, tuple[float, Secret]] = {}

    def get(self, key: str, fetch: Callable[[], Secret]) -> Secret:
        kept = self._kept.get(key)
        if kept is not None and self._clock() < kept[0]:
            return kept[1]
        secret = fetch()
        self._kept[key] = (self._clock() + self._seconds, secret)
        return secret
