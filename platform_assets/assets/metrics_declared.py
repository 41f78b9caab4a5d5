"""Declared metrics as assets: one op for any selection of them, each with lineage to the data sets it reads."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from platform_assets.assets.metrics_keys import EventTopics, dataset_key, lineage_metadata, metric_key
from platform_assets.assets.metrics_requests import COLUMNS, Declared, told
from platform_assets.engine.errors import RetryableError
from platform_assets.engine.metrics.settings import MetricSettings
from platform_assets.engine.metrics.spec import MetricSpec, dataset_of_series, lineage_of, to_request

if TYPE_CHECKING:
    from platform_assets.assets.metrics_run import MetricOutcome
    from platform_assets.engine.metrics.manifest import OutputManifest

CONCLUDED = "metrics/concluded"
DATA_VERSION_TAG = "dagster/data_version"
RETRIES = 3
RETRY_SECONDS = 10


def declared_metrics(
    metrics: Mapping[str, MetricSpec], topics: EventTopics, settings: MetricSettings
) -> dg.AssetsDefinition:
    """The op that computes the selected metrics. A metric that fails fails alone; the run then ends failed.

    Passing faults are tried again within the run: what is finished by then is not computed twice.
    """

    @dg.multi_asset(
        name="declared_metrics",
        specs=[_spec(spec) for spec in metrics.values()],
        can_subset=True,
        required_resource_keys={"object_store", *topics.resource_keys},
    )
    def compute(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        chosen = [spec for code, spec in metrics.items() if metric_key(code) in context.selected_asset_keys]
        outcomes = _run_all(context, chosen, topics, settings)
        failures = []
        for spec in chosen:
            outcome = outcomes[spec.metric_code]
            if outcome.status == "SUCCESS":
                yield _result(spec, outcome)
            else:
                failures.append(f"- {spec.metric_code}: {outcome.error_code}: {outcome.error_message}")
        if failures:
            # The failures are published and no repetition would change them: the next data set version may.
            context.instance.add_run_tags(context.run.run_id, {CONCLUDED: "true"})
            text = f"{len(failures)} of {len(chosen)} metrics failed; all others are written:\n"
            raise dg.Failure(text + "\n".join(failures), allow_retries=False)

    return compute


def _run_all(
    context: dg.AssetExecutionContext,
    specs: Sequence[MetricSpec],
    topics: EventTopics,
    settings: MetricSettings,
) -> "dict[str, MetricOutcome]":
    from platform_assets.assets.metrics_run import run_metric

    store, opened = context.resources.object_store.adapter(), topics.opened(context.resources)
    outcomes: dict[str, MetricOutcome] = {}
    errors = []
    with ThreadPoolExecutor(settings.read_threads, thread_name_prefix="metric-read") as readers:
        for spec in specs:
            request = to_request(spec, f"{context.run.run_id}-{spec.metric_code}", datetime.now(UTC))
            try:
                outcomes[spec.metric_code] = run_metric(
                    request,
                    store,
                    opened,
                    lambda: datetime.now(UTC),
                    settings,
                    final_attempt=context.retry_number >= RETRIES,
                    readers=readers,
                )
            except RetryableError as error:
                errors.append(f"{spec.metric_code}: {error}")
    if errors:
        context.log.warning("\n".join(errors))
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_SECONDS)
    return outcomes


def _spec(spec: MetricSpec) -> dg.AssetSpec:
    from platform_assets.engine.expressions.explain import formula
    from platform_assets.engine.metrics.spec import expression_of

    metadata: dict[str, Any] = {
        "dagster/column_schema": COLUMNS,
        "metric_code": spec.metric_code,
        "formula": formula(expression_of(spec)),
        "unit": spec.unit,
        "frequency": spec.frequency,
        "refresh": str(spec.refresh),
        "owner": spec.owner,
        "tags": ", ".join(spec.tags),
    }
    return dg.AssetSpec(
        metric_key(spec.metric_code),
        deps=[dataset_key(dataset) for dataset in sorted(set(dataset_of_series(spec).values()))],
        description=spec.description or None,
        group_name="metrics",
        skippable=True,
        kinds={"parquet"},
        tags={"domain": "metrics"},
        metadata={name: value for name, value in metadata.items() if value},
    )


def _result(spec: MetricSpec, outcome: "MetricOutcome") -> dg.MaterializeResult[Any]:
    manifest = outcome.manifest
    return dg.MaterializeResult(
        asset_key=metric_key(spec.metric_code),
        metadata=_metadata(spec, outcome),
        # The same content is the same version, whenever it was computed.
        data_version=dg.DataVersion(manifest.sha256) if manifest and manifest.sha256 else None,
    )


def asked_for(metrics: Mapping[str, MetricSpec], settings: MetricSettings) -> Declared:
    """What a request that came by message did for a declared metric: the same expression, written to the same place,
    is that metric, refreshed. None for all other requests, and where a newer one has the alias."""

    def materialization(outcome: "MetricOutcome") -> dg.AssetMaterialization | None:
        spec, manifest = metrics.get(outcome.metric_code), outcome.manifest
        if not (spec and manifest and outcome.alias_moved and _is_of(manifest, spec, settings)):
            return None
        return dg.AssetMaterialization(
            metric_key(spec.metric_code),
            metadata=_metadata(spec, outcome),
            tags={DATA_VERSION_TAG: manifest.sha256} if manifest.sha256 else None,
        )

    return materialization


def _is_of(manifest: "OutputManifest", spec: MetricSpec, settings: MetricSettings) -> bool:
    from platform_assets.engine.metrics.layout import output_layout
    from platform_assets.engine.metrics.manifest import expression_text
    from platform_assets.engine.metrics.spec import base_path_of, expression_of

    layout = output_layout(base_path_of(spec), legacy_bucket_prefix=settings.legacy_bucket_prefix)
    sources = {one.series_code: one.dataset_id for one in manifest.inputs}
    return (
        manifest.expression == expression_text(expression_of(spec))
        and sources == dataset_of_series(spec)
        and manifest.outputs.data_prefix == layout.data_prefix(manifest.version_ts)
    )


def _metadata(spec: MetricSpec, outcome: "MetricOutcome") -> dict[str, Any]:
    manifest = outcome.manifest
    metadata: dict[str, Any] = {
        "dagster/row_count": outcome.row_count,
        **lineage_metadata(lineage_of(spec)),
        "version": outcome.version_ts,
        "manifest": dg.MetadataValue.path(outcome.output_manifest),
        "run": dg.MetadataValue.json(told(outcome)),
    }
    if manifest:
        metadata |= {
            "nulls": manifest.null_count,
            "infinities": manifest.inf_count,
            "duplicates": manifest.duplicate_count,
            "bytes": manifest.byte_count,
        }
    return metadata
