"""What commands look into: the configuration that their options choose, and its warehouse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.commands.options import settings_with

if TYPE_CHECKING:
    from platform_assets.engine.pipelines import Configuration
    from platform_assets.ports import Warehouse


def open_configuration(config_root: Path | None, deployment: str | None) -> Configuration:
    """The configuration that the options choose. ConfigError carries every problem."""
    from platform_assets.commands.validating import load_configuration

    return load_configuration(settings_with(config_root, deployment))


def open_warehouse(config_root: Path | None, deployment: str | None) -> tuple[Configuration, Warehouse]:
    """The configuration and the deployment's warehouse."""
    from platform_assets.resources.bindings import create

    configuration = open_configuration(config_root, deployment)
    binding = configuration.deployment.ports.warehouse
    warehouse: Warehouse = create("warehouse", binding.kind, binding.settings)
    return configuration, warehouse
