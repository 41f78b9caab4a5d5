"""``platform-assets validate``: the configuration and the adapters it names, every problem at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from platform_assets.config import Configuration, load
from platform_assets.config.document import Location, field_path, read_document
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.timing import asked_for
from platform_assets.settings import Settings


def load_configuration(settings: Settings) -> Configuration:
    """The configuration as a run would load it. ConfigError carries every problem."""
    return load(
        settings.config_root,
        deployment=settings.deployment,
        environment=settings.environment,
        today=datetime.now(UTC).date(),
        cache=settings.platform_home / "cache",
    )


def validate(settings: Settings) -> Configuration:
    """Like ``load_configuration``, and the settings of every adapter too."""
    configuration = load_configuration(settings)
    problems = adapter_problems(configuration)
    if problems:
        raise ConfigError(f"the configuration has {len(problems)} problem(s)", tuple(problems))
    return configuration


def adapter_problems(configuration: Configuration) -> list[Problem]:
    """What is wrong with the adapters of the deployment, at its lines."""
    from platform_assets.resources.bindings import check

    found = check(configuration.deployment)
    file = f"deployments/{configuration.deployment.deployment}.yml"
    document = read_document(configuration.root / file, file, []) if found else None

    def line(at: Location) -> int:
        return document.line(at) if document else 1

    return [Problem(file, line(p.field), field_path(p.field), p.reason, p.nearest) for p in found]


def over_plan(configuration: Configuration, tenant: str, today: date) -> Iterator[str]:
    """Warnings where a tenant's schedules ask for more runs than its plan allows in a day or a month of the next year:
    the busiest one of each. Runs that people, retries and catch-up ask for come on top."""
    spec = configuration.tenants[tenant]
    first = today.replace(day=1)
    year = (first.replace(year=first.year + 1) - first).days
    days = asked_for((p.spec for p in configuration.tenant_pipelines(tenant)), spec, first, year)
    months: Counter[str] = Counter()
    for day, runs in days.items():
        months[f"{day:%Y-%m}"] += runs
    for period, limit, (when, runs) in (
        ("day", spec.allowed.daily, max(days.items(), key=lambda item: item[1])),
        ("month", spec.allowed.monthly, max(months.items(), key=lambda item: item[1])),
    ):
        if runs > limit:
            yield (
                f"tenants/{tenant}.yml: its schedules ask for {runs} runs in the {period} {when}, its plan "
                f"({spec.plan}) allows {limit}: the queue will refuse {runs - limit} (QUOTA_EXCEEDED). "
                "Schedule less, choose another plan, or agree on `limits`"
            )


def summary(configuration: Configuration) -> str:
    """One line of counts."""
    steps = [step for pipeline in configuration.pipelines.values() for step in pipeline.steps]
    counts = (
        (len(configuration.tenants), "tenants"),
        (len(configuration.providers), "providers"),
        (len(configuration.pipelines), "pipelines"),
        (len({step.table.name for step in steps}), "tables"),
        (sum(len(step.suite) for step in steps), "expectations"),
    )
    told = ", ".join(f"{count} {what if count != 1 else what.removesuffix('s')}" for count, what in counts)
    return (
        f"ok: {told}; deployment {configuration.deployment.deployment}, version {configuration.version[:12]}"
    )


def shown(problem: Problem, root: Path) -> str:
    """A problem with a path that can be opened from here."""
    path = root / problem.file
    return str(Problem(path.as_posix(), problem.line, problem.field, problem.reason, problem.nearest))
