"""``configs/`` → frozen, checked values; everything that is wrong with it is told at once.

``load`` reads the files named by ``tree``, each into a strict spec (``document``, ``reading``), judges folders by
themselves (``pipeline_folder``) and against one another (``checks``), and returns a ``Configuration`` or raises one
ConfigError with a Problem per mistake. It reads files and nothing else: no clock, no environment, no network.
"""

from __future__ import annotations

from platform_assets.config.loading import load
from platform_assets.engine.pipelines import Configuration, Pipeline, ResolvedStep

__all__ = ["Configuration", "Pipeline", "ResolvedStep", "load"]
