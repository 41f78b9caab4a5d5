"""What the process was told from outside. The only reader of ``os.environ``.

Everything else gets a ``Settings`` value, or the part of it that it needs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from platform_assets.engine.errors import ConfigError

CONFIG_ROOT = "PLATFORM_CONFIG_ROOT"
DEPLOYMENT = "PLATFORM_DEPLOYMENT"
HOME = "PLATFORM_HOME"
CELL = "PLATFORM_CELL"
_BESIDE_PACKAGE = Path(__file__).resolve().parent.parent / "configs"


@dataclass(frozen=True)
class Settings:
    """``environment`` is a copy taken once; it fills ``${VAR}`` in deployment files and never shows itself.

    ``config_root``: ``PLATFORM_CONFIG_ROOT``, else ``configs`` here, else beside the package. ``cell``: which share of
    the tenants this code location serves; None serves all.
    """

    config_root: Path
    deployment: str
    platform_home: Path
    cell: str | None
    environment: Mapping[str, str] = field(repr=False)


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Raises ConfigError where ``PLATFORM_CONFIG_ROOT`` names no folder."""
    return Settings(
        config_root=_config_root(environ.get(CONFIG_ROOT)),
        deployment=environ.get(DEPLOYMENT) or "local",
        platform_home=Path(environ.get(HOME) or ".platform"),
        cell=environ.get(CELL) or None,
        environment=MappingProxyType(dict(environ)),
    )


def _config_root(given: str | None) -> Path:
    if given:
        if not Path(given).is_dir():
            raise ConfigError(f"{CONFIG_ROOT}={given}: there is no such folder")
        return Path(given)
    here = Path("configs")
    return here if here.is_dir() else _BESIDE_PACKAGE
