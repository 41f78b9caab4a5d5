"""Every ``ps_type`` that service C ever had, and what does its work here.

``Shipped`` pipelines stand in this repository and need only a credential; ``ByPlatform`` is what happens without a
step; ``Translated`` steps become steps of ours; ``Refused`` ones never did what they said, or have no source here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Shipped:
    """``pipelines`` take the step's place."""

    pipelines: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class ByPlatform:
    """``how`` the platform does it without a step."""

    how: str


@dataclass(frozen=True)
class Translated:
    """The step becomes one of ours; ``how`` names the function of ``steps`` that makes it."""

    how: Literal["api", "google_api", "query", "transform", "rules", "procedure"]


@dataclass(frozen=True)
class Refused:
    """``why`` there is nothing to translate, and what to do."""

    why: str


Answer: TypeAlias = Shipped | ByPlatform | Translated | Refused

_LLM = ("openai_costs", "anthropic_costs", "gcp_billing")
_NO_SOURCE = (
    "there is no shipped pipeline for {}; add a provider file and a pipeline folder (docs/pipelines.md)"
)
_COMMITMENT = (
    "commitments are billed by the cloud that hosts them, in its billing export; plans with a fixed price are SaaS"
    " plans (saas_subscriptions)"
)
_MAIL = ByPlatform(
    "a sensor tells failed and succeeded runs to whoever configs/notifications/config.json names"
)

PS_TYPES: Mapping[str, Answer] = {
    "openai.usage": Shipped(("openai_usage",), "the current API in place of /v1/usage"),
    "openai.cost": Shipped(("openai_costs", "llm_estimates"), "what OpenAI bills; estimates beside it"),
    "openai.subscriptions": Shipped(
        ("saas_subscriptions",), "plans are rows of the plan table; no API tells them"
    ),
    "openai.seed_csv": Shipped(
        ("llm_estimates",), "prices are pinned in genai-prices; multipliers are a reviewed CSV"
    ),
    "anthropic.usage": Shipped(("anthropic_usage",), "service C only had a stub"),
    "anthropic.cost": Shipped(("anthropic_costs", "llm_estimates")),
    "google.usage": Shipped(
        ("gcp_billing",), "Google reports Gemini and Vertex usage in the billing export only"
    ),
    "google.cost": Shipped(("gcp_billing",)),
    "gcp.bq_etl": Translated("query"),
    "gcp.external_bq_extractor": Translated("query"),
    "cloud.gcp.external_bq_extractor": Translated("query"),
    "gcp.api_extractor": Translated("google_api"),
    "gcp.data_quality": Translated("rules"),
    "generic.api_extractor": Translated("api"),
    "generic.local_bq_transformer": Translated("transform"),
    "generic.procedure_executor": Translated("procedure"),
    "generic.bq_loader": Refused(
        "loads have no step of their own; say where the rows come from with an ingest step"
    ),
    "generic.bq_execute": Refused(
        "free statements are not run; write a SELECT as a transform, or a procedure"
    ),
    "generic.bq_procedure": Refused("it never existed; generic.procedure_executor was meant"),
    "cloud.aws.cur_extractor": Shipped(("aws_cur", "aws_focus"), "a tenant has a credential for one of both"),
    "cloud.azure.cost_extractor": Refused(_NO_SOURCE.format("Azure")),
    "cloud.oci.cost_extractor": Refused(_NO_SOURCE.format("Oracle Cloud")),
    "cloud.focus_converter": Shipped((), "each provider's pipeline has a to_focus step"),
    "genai.payg_usage": Shipped(("openai_usage", "anthropic_usage", "gcp_billing")),
    "genai.payg_cost": Shipped(_LLM),
    "genai.commitment_usage": Refused(_COMMITMENT),
    "genai.commitment_cost": Refused(_COMMITMENT),
    "genai.infrastructure_usage": Refused(_COMMITMENT),
    "genai.infrastructure_cost": Refused(_COMMITMENT),
    "genai.unified_consolidator": Shipped(("llm_estimates", "cost_reporting"), "token_usage and focus_costs"),
    "genai.focus_converter": Shipped(_LLM, "each provider's pipeline has a to_focus step"),
    "integrations.kms_store": ByPlatform(
        "secrets stand in the deployment's secret store; files only name them"
    ),
    "integrations.kms_decrypt": ByPlatform("a slice gets its credential's secret when it opens its source"),
    "integrations.validate_openai": ByPlatform("platform-assets doctor resolves every secret"),
    "integrations.validate_claude": ByPlatform("platform-assets doctor resolves every secret"),
    "integrations.validate_gcp": ByPlatform("platform-assets doctor resolves every secret"),
    "notify_systems.email_notification": _MAIL,
    "notify_systems.slack_notification": _MAIL,
    "setup.initial.onetime_bootstrap": ByPlatform("datasets and tables are made on first use"),
    "setup.organizations.onboarding": ByPlatform("platform-assets tenant add"),
    "setup.organizations.dryrun": ByPlatform("platform-assets plan --tenant"),
    "bigquery_to_bigquery": Translated("query"),
    "data_quality": Translated("rules"),
}

# Procedures of service C, both generations of names, and the pipelines that compute what they did.
PROCEDURES: Mapping[str, tuple[str, ...]] = {
    "sp_calculate_saas_subscription_plan_costs_daily": ("saas_subscriptions",),
    "sp_convert_saas_costs_to_focus_1_3": ("saas_subscriptions",),
    "sp_run_saas_subscription_costs_pipeline": ("saas_subscriptions",),
    "sp_subscription_1_validate_data": ("saas_subscriptions",),
    "sp_subscription_2_calculate_daily_costs": ("saas_subscriptions",),
    "sp_subscription_3_convert_to_focus": ("saas_subscriptions",),
    "sp_subscription_4_run_pipeline": ("saas_subscriptions",),
    "sp_consolidate_genai_usage_daily": ("llm_estimates",),
    "sp_consolidate_genai_costs_daily": ("cost_reporting",),
    "sp_genai_1": ("llm_estimates",),
    "sp_genai_2": ("cost_reporting",),
    "sp_genai_3": _LLM,
    "sp_convert_genai_to_focus_1_3": _LLM,
    "sp_convert_cloud_costs_to_focus_1_3": ("gcp_billing", "aws_cur"),
    "sp_cloud_1": ("gcp_billing", "aws_cur"),
}
