"""The options of every command that reads the configuration, and the settings that they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from platform_assets.settings import Settings


def configuration_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--config-root`` and ``--deployment``."""
    root = click.Path(exists=True, file_okay=False, path_type=Path)
    command = click.option(
        "--config-root", type=root, help="The configs folder.  [env: PLATFORM_CONFIG_ROOT]"
    )(command)
    return click.option("--deployment", help="A file of deployments/.  [env: PLATFORM_DEPLOYMENT]")(command)


def settings_with(config_root: Path | None, deployment: str | None) -> Settings:
    """The process's settings, with what the options say instead."""
    from platform_assets.settings import read_settings

    given = {"config_root": config_root, "deployment": deployment}
    return replace(read_settings(), **{name: value for name, value in given.items() if value is not None})
