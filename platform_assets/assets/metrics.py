"""Metrics in Dagster: those asked for by message, those declared, and the data sets they read."""

from collections.abc import Mapping
from typing import NamedTuple

import dagster as dg

from platform_assets.assets.inbox.sensor import QueueSource
from platform_assets.assets.metrics_declared import asked_for, declared_metrics
from platform_assets.assets.metrics_keys import EventTopics
from platform_assets.assets.metrics_refresh import dataset_assets, datasets_of, refresh_sensor
from platform_assets.assets.metrics_requests import SOURCE, metric_run_asset, request_source
from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.engine.metrics.spec import MetricSpec


class MetricDefinitions(NamedTuple):
    """What the code location takes up. ``sources`` get their sensors with those of the other queues."""

    assets: list[dg.AssetsDefinition]
    sensors: list[dg.SensorDefinition]
    sources: list[QueueSource]


def build_metrics(metrics: Mapping[str, MetricSpec], deployment: DeploymentSpec) -> MetricDefinitions:
    """``metrics``: the declared ones, by code. Requests are taken where the deployment has a queue for them."""
    topics = EventTopics.among(deployment.ports.topics)
    settings, inbox, enabled = deployment.metrics, deployment.inbox, deployment.schedules_enabled
    assets = [metric_run_asset(topics, settings, inbox, asked_for(metrics, settings))]
    sensors = []
    sources = [request_source()] if SOURCE in deployment.ports.queues else []
    if metrics:
        assets += [declared_metrics(metrics, topics, settings), dataset_assets(datasets_of(metrics))]
        sensors.append(refresh_sensor(metrics, inbox, enabled=enabled))
    return MetricDefinitions(assets, sensors, sources)
