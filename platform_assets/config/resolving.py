"""From checked drafts to pipelines: each step gets its table, its SQL, what it reads and what it must pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from platform_assets.config.checks import Owner, tables_read
from platform_assets.config.draft import Draft
from platform_assets.config.suites import Suites
from platform_assets.engine.ingestion.spec import Step, TransformStep, UnionStep
from platform_assets.engine.names import TableName
from platform_assets.engine.pipelines import Pipeline, ResolvedStep


def resolve(
    drafts: Sequence[Draft],
    owners: Mapping[TableName, Owner],
    suites: Suites,
    needed: Mapping[str, frozenset[str]],
) -> Iterable[Pipeline]:
    """Pipelines in the order of ``drafts``. The drafts must have passed every check."""
    contributed = _contributed(drafts)
    return [
        Pipeline(
            draft.spec,
            draft.folder.path,
            tuple(_step(draft, index, owners, suites, contributed) for index in range(len(draft.spec.steps))),
            draft.folder.tenant,
            needed[draft.spec.pipeline_id],
        )
        for draft in drafts
    ]


def _step(
    draft: Draft,
    index: int,
    owners: Mapping[TableName, Owner],
    suites: Suites,
    contributed: Mapping[TableName, set[TableName]],
) -> ResolvedStep:
    spec = _as_partitioned(draft, index)
    name = _table(draft, index)
    reads = contributed.get(name, set()) if isinstance(spec, UnionStep) else tables_read(draft, index)
    owns = index in draft.tables
    return ResolvedStep(
        draft.spec.pipeline_id,
        draft.spec.provider,
        spec,
        owners[name].table,
        draft.transforms.get(index),
        suites.get(name, ()) if owns else (),
        tuple(sorted(reads)),
        draft.inputs.get(index, {}),
    )


def _as_partitioned(draft: Draft, index: int) -> Step:
    """The step, its destination naming the partition column that the table really has."""
    spec = draft.spec.steps[index]
    table = draft.tables.get(index)
    if spec.destination is None or table is None or table.partitioning is None:
        return spec
    destination = spec.destination.model_copy(update={"partition_field": table.partitioning.column})
    return spec.model_copy(update={"destination": destination})


def _table(draft: Draft, index: int) -> TableName:
    spec = draft.spec.steps[index]
    if isinstance(spec, TransformStep) and spec.contributes_to is not None:
        return TableName.parse(spec.contributes_to)
    return draft.tables[index].name


def _contributed(drafts: Iterable[Draft]) -> dict[TableName, set[TableName]]:
    """Union table → all that its contributors read."""
    found: dict[TableName, set[TableName]] = {}
    for draft in drafts:
        for index, step in enumerate(draft.spec.steps):
            if isinstance(step, TransformStep) and step.contributes_to is not None:
                found.setdefault(_table(draft, index), set()).update(draft.transforms[index].tables)
    return found
