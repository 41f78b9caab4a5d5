"""One tenant file against everything else: its names, its money, and whether what it runs can run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from platform_assets.config.checks import Owner
from platform_assets.config.document import Document, Location
from platform_assets.config.draft import Draft
from platform_assets.config.needs import Reads
from platform_assets.config.reading import nearest, one_of
from platform_assets.config.safety import texts
from platform_assets.config.templates import template_parameters
from platform_assets.config.values import currency_problems, timezone_problems
from platform_assets.engine.cron import check_cron, spread
from platform_assets.engine.errors import ConfigError, Problem, RejectedError
from platform_assets.engine.ingestion.spec import NoAuth, ProviderSpec
from platform_assets.engine.names import TENANT_PATTERN, TableName, valid_tenant
from platform_assets.engine.schema.access import require_possible
from platform_assets.engine.tenancy import OwnSchedule, TenantSpec


@dataclass(frozen=True)
class TenantCheck:
    """One tenant file against everything else."""

    document: Document
    tenant: TenantSpec
    providers: Mapping[str, ProviderSpec]
    known_providers: set[str]
    drafts: Mapping[str, Draft]
    known_pipelines: set[str]
    needed: Mapping[str, frozenset[str]]  # pipeline → providers for which it wants a credential
    reads: Reads

    def problems(self) -> Iterator[Problem]:
        if TENANT_PATTERN.fullmatch(self.tenant.tenant) and not valid_tenant(self.tenant.tenant):
            reason = "must not have raw, silver, gold or metadata as a word: datasets could not be told apart"
            yield self.document.problem(("tenant",), reason)
        yield from timezone_problems(self.document, ("timezone",), self.tenant.timezone)
        yield from currency_problems(self.document, ("default_currency",), self.tenant.default_currency)
        for index, budget in enumerate(self.tenant.budgets):
            yield from currency_problems(self.document, ("budgets", index, "currency"), budget.currency)
            if budget.provider is not None:
                yield from self._provider(("budgets", index, "provider"), budget.provider)
        yield from self._credentials()
        yield from self._pipelines()
        for name, own in self.tenant.schedules.items():
            yield from self._schedule(("schedules", name), name, own)

    def _schedule(self, at: Location, name: str, own: OwnSchedule) -> Iterator[Problem]:
        draft = self.drafts.get(name)
        if draft is None or draft.spec.schedule is None:
            if draft is not None or name not in self.known_pipelines:
                scheduled = {n for n, d in self.drafts.items() if d.spec.schedule}
                reason = f"there is no pipeline {name!r} with a schedule"
                yield self.document.problem(at, reason, nearest(name, scheduled))
            return
        try:
            check_cron(own.cron or draft.spec.schedule.cron)
            spread(own.cron or draft.spec.schedule.cron, draft.spec.schedule.jitter_minutes)
        except ConfigError as error:
            yield self.document.problem((*at, "cron"), str(error))
        if own.timezone is not None:
            yield from timezone_problems(self.document, (*at, "timezone"), own.timezone)

    def _provider(self, at: Location, name: str) -> Iterator[Problem]:
        if name not in self.known_providers:
            reason = f"there is no provider {name!r}; known: {one_of(self.known_providers)}"
            yield self.document.problem(at, reason, nearest(name, self.known_providers))

    def _credentials(self) -> Iterator[Problem]:
        for index, credential in enumerate(self.tenant.credentials):
            at: Location = ("credentials", index)
            yield from self._provider((*at, "provider"), credential.provider)
            provider = self.providers.get(credential.provider)
            if provider and not isinstance(provider.auth, NoAuth) and credential.secret is None:
                reason = f"{credential.provider} wants authentication: name the secret"
                yield self.document.problem((*at, "secret"), reason)
            yield from self._parameters((*at, "parameters"), credential.provider, set(credential.parameters))

    def _parameters(self, at: Location, provider: str, given: set[str]) -> Iterator[Problem]:
        for draft in self.drafts.values():
            if draft.spec.provider == provider and self._listed(draft):
                for name in sorted(parameters_used(draft) - given):
                    reason = f"pipeline {draft.spec.pipeline_id} needs parameter {name!r}"
                    yield self.document.problem(at, reason, nearest(name, given))

    def _listed(self, draft: Draft) -> bool:
        mine = draft.folder.tenant in (None, self.tenant.tenant)
        return mine and (self.tenant.pipelines == "all" or draft.spec.pipeline_id in self.tenant.pipelines)

    def _pipelines(self) -> Iterator[Problem]:
        if self.tenant.pipelines == "all":
            return
        for index, name in enumerate(self.tenant.pipelines):
            yield from self._pipeline(("pipelines", index), name)

    def _pipeline(self, at: Location, name: str) -> Iterator[Problem]:
        draft = self.drafts.get(name)
        if draft is None or draft.folder.tenant not in (None, self.tenant.tenant):
            if draft is not None or name not in self.known_pipelines:
                reason = f"there is no pipeline {name!r} for this tenant"
                yield self.document.problem(at, reason, nearest(name, self.known_pipelines - {name}))
        else:
            yield from self._can_run(at, name)

    def _can_run(self, at: Location, name: str) -> Iterator[Problem]:
        missing = self.needed[name] - {c.provider for c in self.tenant.credentials}
        if missing:
            yield self.document.problem(at, f"{name!r} needs a credential for {one_of(missing)}")
        for other, table in sorted(self.reads[name].items()):
            if other not in self.tenant.pipelines:
                reason = f"{name!r} reads {table}, which {other!r} fills; list that too"
                yield self.document.problem(at, reason)


def parameters_used(draft: Draft) -> set[str]:
    """The ``parameters.<name>`` in the templates of a pipeline's sources."""
    sources = [step.get("source") for step in draft.document.value["steps"]]
    return {name for source in sources for _, text in texts(source) for name in template_parameters(text)}


def access_problems(
    document: Document, tenant: TenantSpec, owners: Mapping[TableName, Owner], unowned: Collection[str]
) -> Iterator[Problem]:
    """Tables that nothing fills, and what a table cannot do of the access declared for it."""
    for name, access in tenant.access.items():
        owner = owners.get(TableName.parse(name))
        if owner is None:
            if name not in unowned:
                known = [str(table) for table in owners]
                reason = f"no pipeline fills {name}"
                yield document.problem(("access", name), reason, nearest(name, known))
            continue
        try:
            require_possible(owner.table, access)
        except RejectedError as error:
            yield document.problem(("access", name), str(error))
