"""Buckets as folders: ``<root>/<bucket>/…``, for trying data exports without a cloud."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.spec import Spec
from platform_assets.ports import ObjectStore, Secret
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class LocalSourceStoresSettings(Spec):
    """``root`` holds one folder per bucket."""

    root: str


class LocalSourceStores:
    """See ``ports.SourceStores``. Credentials are not needed."""

    def __init__(self, settings: LocalSourceStoresSettings) -> None:
        self._root = Path(settings.root)

    def open(self, bucket: str, parameters: Mapping[str, Any], secret: Secret | None) -> ObjectStore:
        if not _BUCKET.fullmatch(bucket):
            raise ConfigError(f"{bucket!r} is not a bucket name")
        return LocalObjectStore(LocalObjectStoreSettings(root=str(self._root / bucket)))
