"""Data sets as observable assets, and the sensor that refreshes declared metrics when one has a new version.

A data set's version is the ``version_id`` of its manifest. The sensor remembers the manifest's etag, so a tick over
data sets that have not changed reads no manifest. What has been asked for is known from the runs themselves: a run
that died is asked for again, and a lost cursor refreshes nothing twice.
"""

import hashlib
import json
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, TypeAlias

import dagster as dg

from platform_assets.assets.inbox.store import at_once
from platform_assets.assets.metrics_declared import CONCLUDED, DATA_VERSION_TAG
from platform_assets.assets.metrics_keys import dataset_key, metric_key
from platform_assets.engine.errors import PlatformError
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.inbox.state import backoff_seconds
from platform_assets.engine.metrics.dataset import DatasetManifest, object_key, parse_manifest
from platform_assets.engine.metrics.request import DatasetSource
from platform_assets.engine.metrics.spec import MetricSpec, Refresh, dataset_of_series, dataset_source
from platform_assets.ports import ObjectStore
from platform_assets.resources.adapter import AdapterResource

GROUP_TAG = "metrics/datasets"
STATE_TAG = "metrics/state"
SECONDS_BETWEEN_TICKS = 30
Datasets: TypeAlias = Mapping[str, DatasetSource]
Seen: TypeAlias = Mapping[str, list[str]]  # data set → [etag of its manifest, version]
FAILED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass(frozen=True)
class Found:
    """A data set as it is now. ``manifest`` only where it was read; ``error`` where it could not be."""

    dataset: str
    etag: str = ""
    version: str = ""
    manifest: DatasetManifest | None = None
    error: str = ""


def datasets_of(metrics: Mapping[str, MetricSpec]) -> dict[str, DatasetSource]:
    """Every data set that a metric reads, by id. The configuration sees to it that all agree on its place."""
    found = {
        dataset: dataset_source(spec, dataset)
        for spec in metrics.values()
        for dataset in dataset_of_series(spec).values()
    }
    return dict(sorted(found.items()))


def look(store: ObjectStore, dataset: str, source: DatasetSource, known: Sequence[str] = ()) -> Found:
    """A data set's state; its manifest is read only where its etag is not the ``known`` one. Not there: no version."""
    etag, version = known or ("", "")
    try:
        key = object_key(source.manifest, "manifestPath")
        info = store.stat(key)
        if info is None:
            return Found(dataset)
        if etag and etag == info.etag:
            return Found(dataset, etag, version)
        manifest = parse_manifest(store.get(key), key)
    except PlatformError as error:
        return Found(dataset, etag, version, error=str(error))
    return Found(dataset, info.etag or "", manifest.version_id, manifest)


def _metadata(manifest: DatasetManifest) -> dict[str, Any]:
    return {
        "version": manifest.version_id,
        "created_at": manifest.created_at.isoformat(),
        "series": manifest.series_count,
        "points": manifest.data_points_count,
        "files": len(manifest.parquet_files),
    }


# --- Observable assets ----------------------------------------------------------------------------------------------


def dataset_assets(datasets: Datasets) -> dg.AssetsDefinition:
    """``dataset/<id>``: written elsewhere, observed here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)

        @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]  # Dagster has left it so
            name="observe_datasets",
            specs=[_spec(dataset, source) for dataset, source in datasets.items()],
            can_subset=True,
        )
        def observe(
            context: dg.AssetExecutionContext, object_store: AdapterResource
        ) -> Iterator[dg.ObserveResult]:
            store, errors = object_store.adapter(), []
            for dataset, source in datasets.items():
                if dataset_key(dataset) not in context.selected_asset_keys:
                    continue
                found = look(store, dataset, source)
                if found.manifest:
                    yield dg.ObserveResult(
                        asset_key=dataset_key(dataset),
                        data_version=dg.DataVersion(found.version),
                        metadata=_metadata(found.manifest),
                    )
                else:
                    errors.append(found.error or f"data set {dataset!r} has no manifest {source.manifest!r}")
            if errors:
                raise dg.Failure("\n".join(errors), allow_retries=False)

    found: dg.AssetsDefinition = observe
    return found


def _spec(dataset: str, source: DatasetSource) -> dg.AssetSpec:
    return dg.AssetSpec(
        dataset_key(dataset),
        description="A data set of series, written by its ingestor. Its version is that of its manifest.",
        group_name="datasets",
        kinds={"parquet"},
        tags={"domain": "metrics"},
        metadata={"manifest": source.manifest, "projections": source.projections},
    )


# --- The sensor -----------------------------------------------------------------------------------------------------


def refresh_sensor(
    metrics: Mapping[str, MetricSpec], spec: InboxSpec, *, enabled: bool
) -> dg.SensorDefinition:
    """Observes the data sets and asks for the metrics that read a changed one: one run per group of metrics that
    read the same data sets. ``spec`` says how often a run that died is asked for again, and how long to wait."""
    datasets = datasets_of(metrics)
    groups = _groups(metrics)

    @dg.sensor(
        name="dataset_refresh",
        target=dg.AssetSelection.assets(*(metric_key(code) for code in metrics)),
        minimum_interval_seconds=SECONDS_BETWEEN_TICKS,
        default_status=dg.DefaultSensorStatus.RUNNING if enabled else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={"object_store"},
        description="Refreshes the declared metrics whose data sets have a new version.",
    )
    def dataset_refresh(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        store = context.resources.object_store.adapter()
        seen: Seen = json.loads(context.cursor or "{}")
        found = at_once(lambda item: look(store, *item, seen.get(item[0], ())), list(datasets.items()))
        for one in found:
            if one.error:
                context.log.error(f"data set {one.dataset!r}: {one.error}")
        versions = {one.dataset: one.version for one in found if one.version}
        return dg.SensorResult(
            run_requests=list(_requests(context.instance, groups, versions, spec)),
            asset_events=[_observation(one) for one in found if one.manifest and _is_new(one, seen)],
            cursor=json.dumps({one.dataset: [one.etag, one.version] for one in found if one.version}),
        )

    return dataset_refresh


def _groups(metrics: Mapping[str, MetricSpec]) -> dict[tuple[str, ...], list[MetricSpec]]:
    """Data sets → the metrics that read exactly these and follow them."""
    groups: dict[tuple[str, ...], list[MetricSpec]] = defaultdict(list)
    for _, spec in sorted(metrics.items()):
        if spec.refresh is Refresh.ON_CHANGE:
            groups[tuple(sorted(set(dataset_of_series(spec).values())))].append(spec)
    return dict(sorted(groups.items()))


def _is_new(found: Found, seen: Seen) -> bool:
    return found.dataset not in seen or seen[found.dataset][1] != found.version


def _observation(found: Found) -> dg.AssetObservation:
    assert found.manifest is not None, "only what was read is observed"
    return dg.AssetObservation(
        asset_key=dataset_key(found.dataset),
        metadata=_metadata(found.manifest),
        tags={DATA_VERSION_TAG: found.version},
    )


def _requests(
    instance: dg.DagsterInstance,
    groups: Mapping[tuple[str, ...], Sequence[MetricSpec]],
    versions: Mapping[str, str],
    limits: InboxSpec,
) -> Iterator[dg.RunRequest]:
    for datasets, specs in groups.items():
        if not all(dataset in versions for dataset in datasets):
            continue
        group = _digest(datasets)
        # A metric that is new, or means something else now, is due as well.
        state = _digest([versions[d] for d in datasets], [[s.metric_code, s.expression] for s in specs])
        records = instance.get_run_records(dg.RunsFilter(tags={GROUP_TAG: group}), limit=limits.max_attempts)
        if _is_due(records, state, limits):
            # A run blocks its key for ever; naming the run before, a version that comes back has a new one.
            before = records[0].dagster_run.run_id if records else "first"
            yield dg.RunRequest(
                run_key=f"{state}:{before}",
                asset_selection=[metric_key(spec.metric_code) for spec in specs],
                tags={GROUP_TAG: group, STATE_TAG: state},
            )


def _digest(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def _is_due(newest_first: Sequence[dg.RunRecord], state: str, limits: InboxSpec) -> bool:
    """Whether no run was asked for in this state, or those that were have died, the last one long enough ago."""
    tried = list(takewhile(lambda record: record.dagster_run.tags.get(STATE_TAG) == state, newest_first))
    if not tried:
        return True
    last = tried[0]
    died = last.dagster_run.status in FAILED and CONCLUDED not in last.dagster_run.tags
    if not died or len(tried) >= limits.max_attempts:
        return False
    ended = last.end_time or last.update_timestamp.replace(tzinfo=UTC).timestamp()
    return datetime.now(UTC).timestamp() >= ended + backoff_seconds(len(tried), limits)
