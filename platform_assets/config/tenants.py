"""Tenant files alone, for processes that need to know no more (the run queue)."""

from __future__ import annotations

from pathlib import Path

from platform_assets.config.document import read_document
from platform_assets.config.reading import read_spec
from platform_assets.config.tree import relative, yaml_files
from platform_assets.engine.errors import Problem
from platform_assets.engine.tenancy import TenantSpec


def read_tenants(root: Path) -> dict[str, TenantSpec]:
    """Every tenant whose file can be read, by name; the others are told when the configuration is loaded."""
    problems: list[Problem] = []
    found: dict[str, TenantSpec] = {}
    for path in yaml_files(root, "tenants", problems):
        document = read_document(path, relative(root, path), problems)
        spec = document and read_spec(TenantSpec, document, problems)
        if spec:
            found[spec.tenant] = spec
    return found
