"""JSON Schemas of every kind of file, for editors: generated from the models that ``load`` validates with.

Written to ``configs/.schema/<kind>.json``; the first line of each YAML file points there. ``drift`` tells where the
files and the models have gone apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from platform_assets.engine.cdc.spec import MonitorSpec
from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.engine.errors import Problem
from platform_assets.engine.events.spec import EventSpec
from platform_assets.engine.ingestion.spec import PipelineSpec, ProviderSpec
from platform_assets.engine.metrics.spec import MetricSpec
from platform_assets.engine.notifications.alerts.spec import AlertSpec
from platform_assets.engine.notifications.spec import NotificationsSpec
from platform_assets.engine.quality.spec import DqFile
from platform_assets.engine.spec import Spec
from platform_assets.engine.tenancy import TenantSpec

MODELS: Mapping[str, type[Spec]] = {
    "alert": AlertSpec,
    "cdc": MonitorSpec,
    "deployment": DeploymentSpec,
    "dq": DqFile,
    "event": EventSpec,
    "metric": MetricSpec,
    "notifications": NotificationsSpec,
    "pipeline": PipelineSpec,
    "provider": ProviderSpec,
    "tenant": TenantSpec,
}
FOLDER = ".schema"


def generate() -> dict[str, str]:
    """File name → text, sorted; the same models always give the same text."""
    return {f"{name}.json": _text(name, model) for name, model in sorted(MODELS.items())}


def _text(name: str, model: type[Spec]) -> str:
    schema: dict[str, Any] = model.model_json_schema()
    if name == "dq":
        _add_expectations(schema)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": model.__name__}
    return json.dumps(head | schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _add_expectations(schema: dict[str, Any]) -> None:
    """Entries of a suite are validated against the table later; editors get every kind with its arguments."""
    from platform_assets.engine.quality.suite import known_types

    items = schema["$defs"]["SuiteSpec"]["properties"]["expectations"]["items"]
    items["required"] = ["type"]
    items["properties"] = {"type": {"type": "string", "enum": list(known_types())}}


def write(root: Path) -> list[str]:
    """Bring ``<root>/.schema`` up to date; returns what was written or removed."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    wanted, changed = generate(), []
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            changed.append(name)
    for path in sorted(folder.glob("*.json")):
        if path.name not in wanted:
            path.unlink()
            changed.append(path.name)
    return changed


def drift(root: Path) -> list[Problem]:
    """A problem for every schema file that is missing, left over, or not what the models say."""
    folder = root / FOLDER
    wanted = generate()
    found = {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.json"))}
    return [
        Problem(f"{FOLDER}/{name}", 1, "", _state(found.get(name), wanted.get(name)))
        for name in sorted(wanted.keys() | found.keys())
        if found.get(name) != wanted.get(name)
    ]


def _state(found: str | None, wanted: str | None) -> str:
    if found is None:
        return "is missing; run platform-assets schema generate"
    if wanted is None:
        return "belongs to no model; run platform-assets schema generate"
    return "is not what the models say; run platform-assets schema generate"
