"""What a pipeline needs of a tenant before it can run: credentials, its own and those of the pipelines it reads from.

A union table has as many contributors as the tenant has sources, also none, so reading one needs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from platform_assets.config.checks import Owner, tables_read
from platform_assets.config.draft import Draft
from platform_assets.engine.ingestion.spec import (
    IngestStep,
    NoAuth,
    ObjectStoreSource,
    ProviderSpec,
    RestSource,
    SeedSource,
    SqlSource,
)
from platform_assets.engine.names import TableName

Reads: TypeAlias = Mapping[str, Mapping[str, TableName]]


def reads_from(drafts: list[Draft], tables: Mapping[TableName, Owner]) -> dict[str, dict[str, TableName]]:
    """Pipeline id → the other pipelines whose tables it reads, each with one of those tables."""
    found: dict[str, dict[str, TableName]] = {}
    for draft in drafts:
        if draft.spec.pipeline_id not in found:  # of two pipelines with one id, the first
            found[draft.spec.pipeline_id] = _reads(draft, tables)
    return found


def _reads(draft: Draft, tables: Mapping[TableName, Owner]) -> dict[str, TableName]:
    found: dict[str, TableName] = {}
    for index in range(len(draft.spec.steps)):
        for table in tables_read(draft, index):
            owner = tables.get(table)
            seen = owner and owner.draft.folder.tenant in (None, draft.folder.tenant)
            if owner and seen and not owner.is_union and owner.draft is not draft:
                found.setdefault(owner.draft.spec.pipeline_id, table)
    return found


def credentials_needed(
    drafts: list[Draft], reads: Reads, providers: Mapping[str, ProviderSpec]
) -> dict[str, frozenset[str]]:
    """Pipeline id → the providers for which a tenant must have a credential, so that all it reads is there."""
    own = {d.spec.pipeline_id: d.spec.provider for d in drafts if needs_credential(d, providers)}
    return {name: frozenset(own[p] for p in _reached(name, reads) if p in own) for name in reads}


def _reached(name: str, reads: Reads) -> set[str]:
    """The pipeline and all that it reads from, directly or not."""
    reached: set[str] = set()
    ahead = [name]
    while ahead:
        current = ahead.pop()
        if current not in reached:
            reached.add(current)
            ahead.extend(reads.get(current, ()))
    return reached


def needs_credential(draft: Draft, providers: Mapping[str, ProviderSpec]) -> bool:
    """Whether the pipeline's provider wants authentication, or a source needs to be told where its data lie."""
    sources = [step.source for step in draft.spec.steps if isinstance(step, IngestStep)]
    if any(isinstance(s, SqlSource | ObjectStoreSource) or _told_by_tenant(s) for s in sources):
        return True
    if not any(isinstance(source, RestSource) for source in sources):
        return False
    provider = providers.get(draft.spec.provider)
    return provider is not None and not isinstance(provider.auth, NoAuth)


def _told_by_tenant(source: object) -> bool:
    return isinstance(source, SeedSource) and "parameters" in source.file
