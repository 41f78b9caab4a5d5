"""Logical and physical table names, and which tenant owns what.

Configuration and SQL speak of logical tables (``raw_openai.costs``). Only ``physical`` turns one into the
tenant's own dataset (``acme1281_raw_openai.costs``), so isolation between tenants rests on this one function.

A dataset starts with its layer and a tenant id has no layer among its words. So a physical name can be read back in
one way only: tenant ``acme`` cannot reach ``acme_eu_raw_openai`` through a dataset that it calls ``eu_raw_openai``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from platform_assets.engine.errors import ConfigError

TENANT_PATTERN = re.compile(r"[a-z][a-z0-9_]{2,49}")
IDENTIFIER_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
DATASET_PATTERN = re.compile(r"(?:raw|silver|gold)_[a-z0-9_]{1,200}|metadata")
SHARED_DATASETS = frozenset({"organizations"})
_LAYERS = frozenset({"raw", "silver", "gold", "metadata"})


@dataclass(frozen=True, order=True)
class TableName:
    """A logical table: ``dataset`` without tenant prefix, ``table``."""

    dataset: str
    table: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """``"raw_openai.costs"`` → name. Raises ConfigError unless it is exactly ``dataset.table``."""
        dataset, _, table = text.partition(".")
        if not (IDENTIFIER_PATTERN.fullmatch(dataset) and IDENTIFIER_PATTERN.fullmatch(table)):
            raise ConfigError(
                f"{text!r} is not a table name; write dataset.table, for example raw_openai.costs"
            )
        return cls(dataset, table)

    def __str__(self) -> str:
        return f"{self.dataset}.{self.table}"


def valid_tenant(tenant: str) -> bool:
    """Tenant ids are lower-case identifiers of 3 to 50 characters, in which raw, silver, gold and metadata are no
    words of their own; they become part of dataset names."""
    return TENANT_PATTERN.fullmatch(tenant) is not None and _LAYERS.isdisjoint(tenant.split("_"))


def valid_dataset(dataset: str) -> bool:
    """``raw_…``, ``silver_…``, ``gold_…``, ``metadata``, or a dataset that all tenants share."""
    return dataset in SHARED_DATASETS or DATASET_PATTERN.fullmatch(dataset) is not None


def physical_dataset(tenant: str, dataset: str) -> str:
    """The tenant's own dataset, or the shared one: ``("acme1281", "raw_openai")`` → ``acme1281_raw_openai``."""
    if not valid_tenant(tenant):
        raise ConfigError(f"{tenant!r} is not a tenant id ({TENANT_PATTERN.pattern}, no layer as a word)")
    if not valid_dataset(dataset):
        raise ConfigError(f"{dataset!r} is not a dataset: raw_…, silver_…, gold_… or metadata")
    return dataset if dataset in SHARED_DATASETS else f"{tenant}_{dataset}"


def tenant_of(dataset: str) -> str | None:
    """Whose physical dataset this is; None for a shared one and for a name that no tenant can have."""
    words = dataset.split("_")
    layer = next((i for i, word in enumerate(words) if word in _LAYERS), None)
    if layer is None or not valid_dataset("_".join(words[layer:])):
        return None
    tenant = "_".join(words[:layer])
    return tenant if valid_tenant(tenant) else None


def physical(tenant: str, table: TableName) -> TableName:
    """Where a tenant's logical table lives."""
    return TableName(physical_dataset(tenant, table.dataset), table.table)
