"""``platform-assets validate``: the configuration and the adapters it names, every problem at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from platform_assets.config import Configuration, load
from platform_assets.config.document import Location, field_path, read_document
from platform_assets.engine.errors import ConfigError, Problem
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
