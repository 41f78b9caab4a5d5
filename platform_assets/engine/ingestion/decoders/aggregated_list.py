"""Google's aggregated lists (``compute/v1/projects/…/aggregated/instances``).

``{"items": {"zones/us-central1-a": {"instances": […]}, "zones/x": {"warning": …}}}`` becomes
``{"items": [{…, "_zone": "us-central1-a"}, …]}``; everything else of the page stays as it is.
"""

from __future__ import annotations

from typing import Any

from platform_assets.engine.errors import DataError


def page(root: Any) -> Any:
    if not isinstance(root, dict):
        raise DataError("not an aggregated list: the page is no object")
    scopes = root.get("items", {})
    if not isinstance(scopes, dict):
        raise DataError("not an aggregated list: items is not an object of scopes")
    return {**root, "items": [item for scope in scopes for item in _items(scope, scopes[scope])]}


def _items(scope: str, content: Any) -> list[dict[str, Any]]:
    lists = [value for value in content.values() if isinstance(value, list)]
    return [{**item, "_zone": scope.rpartition("/")[2]} for found in lists for item in found]
