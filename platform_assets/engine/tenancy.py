"""What a tenant file may say: who the tenant is, which pipelines it runs, and by which credentials.

Secrets are named here, never written: a credential gives the name under which the secret store holds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from platform_assets.engine.ingestion.spec import Identifier, LogicalTable
from platform_assets.engine.names import TENANT_PATTERN
from platform_assets.engine.schema.access import TableAccess
from platform_assets.engine.spec import Spec

if TYPE_CHECKING:
    from platform_assets.engine.pipelines import Pipeline

DEFAULT_CREDENTIAL = "default"


def _exact(value: Any) -> Any:
    """A number as it was written: 1000.10 stays 1000.10."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return value
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ValueError("is not a number") from None


TenantId = Annotated[str, Field(pattern=f"^{TENANT_PATTERN.pattern}$")]
SecretName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,126}$")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]  # ISO 4217
Amount = Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, max_digits=38, decimal_places=9)]
ParameterValue = str | int | bool | list[str]


class Credential(Spec):
    """One account at one provider. ``parameters`` reach the request templates as ``parameters.<name>``."""

    id: Identifier
    provider: Identifier
    secret: SecretName | None = None
    parameters: dict[Identifier, ParameterValue] = {}


class Budget(Spec):
    """What a tenant means to spend per period, on everything or on one provider, in one currency."""

    id: Identifier
    amount: Amount
    currency: Currency
    period: Literal["month", "quarter", "year"] = "month"
    provider: Identifier | None = None
    alert_percent: Annotated[list[Annotated[int, Field(ge=1, le=1000)]], Field(min_length=1)] = [80, 100]


class NotificationOverride(Spec):
    """Replaces recipients of the root notification configuration for this tenant."""

    enabled: bool = True
    email_recipients: list[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]] = []
    slack_webhook_secret: SecretName | None = None
    slack_channel: str | None = None


class TenantCdc(Spec):
    """How CDC messages speak of the tenant. ``partners``: names by which they call it, besides its id; ``datasets``:
    what it may read of the data project, besides what the deployment's patterns give."""

    partners: list[Annotated[str, Field(pattern=r"^\S(.{0,98}\S)?$")]] = []
    datasets: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,1024}$")]] = []


class Limits(Spec):
    """How many runs a tenant may have: started in a UTC day, in a UTC month, and going on at once."""

    daily: Annotated[int, Field(ge=0)]
    monthly: Annotated[int, Field(ge=0)]
    concurrent: Annotated[int, Field(ge=1)]


# Source: the plans of the services replaced here.
PLANS: Mapping[str, Limits] = MappingProxyType(
    {
        "starter": Limits(daily=6, monthly=180, concurrent=20),
        "professional": Limits(daily=25, monthly=750, concurrent=20),
        "scale": Limits(daily=100, monthly=3000, concurrent=20),
        "enterprise": Limits(daily=999_999, monthly=999_999, concurrent=999_999),
    }
)


class LimitOverride(Spec):
    """Limits agreed with one tenant, in place of its plan's."""

    daily: Annotated[int, Field(ge=0)] | None = None
    monthly: Annotated[int, Field(ge=0)] | None = None
    concurrent: Annotated[int, Field(ge=1)] | None = None


class OwnSchedule(Spec):
    """When one tenant runs a pipeline, in place of the pipeline's own schedule; what is left out stays as there."""

    cron: str | None = None
    timezone: str | None = None
    enabled: bool = True
    priority: Annotated[int, Field(ge=-100, le=100)] | None = None


class TenantSpec(Spec):
    """``configs/tenants/<tenant>.yml``. ``pipelines: all`` means every shared pipeline that needs no credential
    or has one here, and the tenant's own; a list names exactly those that run. ``cell`` names the code location that
    serves the tenant where ``PLATFORM_CELL`` splits them. ``access``: who reads which rows of a table, and the views
    that share a part of it."""

    tenant: TenantId
    display_name: Annotated[str, Field(min_length=1)]
    status: Literal["active", "suspended"] = "active"
    cell: Identifier = "main"
    plan: Literal["starter", "professional", "scale", "enterprise"] = "starter"
    limits: LimitOverride = LimitOverride()
    timezone: str = "UTC"
    default_currency: Currency = "USD"
    fiscal_year_start_month: Annotated[int, Field(ge=1, le=12)] = 1
    pipelines: Literal["all"] | list[Identifier] = "all"
    schedules: dict[Identifier, OwnSchedule] = {}
    credentials: list[Credential] = []
    budgets: list[Budget] = []
    notifications: NotificationOverride = NotificationOverride()
    access: dict[LogicalTable, TableAccess] = {}
    cdc: TenantCdc = TenantCdc()

    @property
    def allowed(self) -> Limits:
        """The plan's limits, with what was agreed otherwise."""
        return PLANS[self.plan].model_copy(update=self.limits.model_dump(exclude_none=True))

    @model_validator(mode="after")
    def _ids_are_unique(self) -> TenantSpec:
        for what, ids in (
            ("credential", [c.id for c in self.credentials]),
            ("budget", [b.id for b in self.budgets]),
        ):
            twice = sorted({i for i in ids if ids.count(i) > 1})
            if twice:
                raise ValueError(f"{what} ids must be unique; twice: {', '.join(twice)}")
        return self


def runs_pipeline(tenant: TenantSpec, pipeline: Pipeline) -> bool:
    """Whether a pipeline runs for a tenant: none for a suspended one, and nobody runs another tenant's own."""
    if tenant.status != "active" or pipeline.tenant not in (None, tenant.tenant):
        return False
    if tenant.pipelines != "all":
        return pipeline.pipeline_id in tenant.pipelines
    return pipeline.credentials_needed <= {c.provider for c in tenant.credentials}


def credentials_for(tenant: TenantSpec, provider: str) -> tuple[Credential, ...]:
    """The tenant's accounts at a provider, in file order; for a public one, one account without a secret."""
    declared = tuple(c for c in tenant.credentials if c.provider == provider)
    return declared or (Credential(id=DEFAULT_CREDENTIAL, provider=provider),)
