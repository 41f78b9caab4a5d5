"""CDC monitors: each file with its SQL, then all together, and the datasets that tenants may read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.config.document import Document, Location, read_text
from platform_assets.config.query_cache import QueryCache
from platform_assets.config.reading import nearest
from platform_assets.config.tree import relative
from platform_assets.engine.cdc.monitor import Monitor, check
from platform_assets.engine.cdc.settings import CdcSettings
from platform_assets.engine.cdc.spec import MonitorSpec
from platform_assets.engine.cdc.tables import scope_of
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.tenancy import TenantSpec

if TYPE_CHECKING:
    from platform_assets.engine.sql.checked import Transform

Monitors = Mapping[str, tuple[Document, Monitor]]


def read_monitor(
    root: Path, path: Path, document: Document, spec: MonitorSpec, cache: QueryCache, problems: list[Problem]
) -> Monitor | None:
    """The monitor with its queries parsed, or None; what is wrong goes to ``problems``."""
    before = len(problems)
    queries = {name: _query(root, path, document, spec, name, cache, problems) for name in spec.queries}
    monitor = Monitor(spec, {name: query for name, query in queries.items() if query is not None})
    problems += [document.problem(p.location, p.reason, p.nearest) for p in check(monitor)]
    return monitor if len(problems) == before else None


def _query(
    root: Path,
    path: Path,
    document: Document,
    spec: MonitorSpec,
    name: str,
    cache: QueryCache,
    problems: list[Problem],
) -> Transform | None:
    query, place = spec.queries[name], ("queries", name)
    text, file = query.sql, f"{document.file} {name}"
    if query.file is not None:
        beside = path.with_name(query.file)
        file = relative(root, beside)
        text = _file_text(beside, file, document, (*place, "file"), problems)
    if text is None:
        return None
    bound = tuple(sorted(query.parameters))

    def parse() -> Transform:
        from platform_assets.engine.cdc.parsing import parse_query

        return parse_query(text, file, bound)

    try:
        return cache.transform(text, file, checks=f"cdc {' '.join(bound)}", parse=parse)
    except ConfigError as error:
        for problem in error.problems:
            if query.file is not None:
                problems.append(problem)
            else:
                problems.append(_inside(document, (*place, "sql"), text, problem))
        return None


def _file_text(
    path: Path, file: str, document: Document, place: Location, problems: list[Problem]
) -> str | None:
    if not path.is_file():
        there = [found.name for found in sorted(path.parent.glob("*.sql"))]
        reason = f"there is no file {path.name!r} beside the monitor"
        problems.append(document.problem(place, reason, nearest(path.name, there)))
        return None
    return read_text(path, file, problems)


def _inside(document: Document, place: Location, text: str, problem: Problem) -> Problem:
    """A problem of SQL that stands in the YAML. Text that ends a line is a block, which begins a line further on."""
    line = document.line(place) + problem.line - (0 if text.endswith("\n") else 1)
    return Problem(document.file, line, ".".join(map(str, place)), problem.reason, problem.nearest)


def shared_cdc_problems(
    root: Path, monitors: Monitors, tenants: Mapping[str, tuple[Document, TenantSpec]]
) -> Iterator[Problem]:
    """What cannot stand side by side: a metric told by two monitors, a partner's name that two tenants have, SQL that
    no monitor runs."""
    yield from _metrics_twice(monitors)
    yield from _partners_twice(tenants)
    used = {query.file for _, monitor in monitors.values() for query in monitor.spec.queries.values()}
    for path in sorted((root / "cdc").glob("*.sql")):
        if path.name not in used and len(monitors) == len(list((root / "cdc").glob("*.yml"))):
            yield Problem(relative(root, path), 1, "", "is run by no monitor")


def _metrics_twice(monitors: Monitors) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, (document, monitor) in sorted(monitors.items()):
        places: list[tuple[Location, str]] = [
            *((("gauges", i, "name"), gauge.name) for i, gauge in enumerate(monitor.spec.gauges)),
            *((("counters", i, "name"), counter.name) for i, counter in enumerate(monitor.spec.counters)),
        ]
        for place, metric in places:
            if (other := owners.setdefault(metric, name)) != name:
                reason = f"{metric!r} is told by monitor {other!r} too; a series has one source"
                yield document.problem(place, reason)


def _partners_twice(tenants: Mapping[str, tuple[Document, TenantSpec]]) -> Iterator[Problem]:
    owners = {name: name for name in tenants}
    for name, (document, tenant) in sorted(tenants.items()):
        for index, partner in enumerate(tenant.cdc.partners):
            if (other := owners.setdefault(partner, name)) != name:
                yield document.problem(
                    ("cdc", "partners", index), f"{partner!r} is what tenant {other!r} is called"
                )


def dataset_problems(
    settings: CdcSettings, tenants: Mapping[str, tuple[Document, TenantSpec]]
) -> Iterator[Problem]:
    """Datasets that two tenants would read. What all may read is a pattern of the deployment without ``{partner}``."""
    patterns = tuple(p for p in settings.datasets if "{partner}" in p)
    owners: dict[str, str] = {}
    for name, (document, tenant) in sorted(tenants.items()):
        partners = (name, *tenant.cdc.partners)
        for dataset in scope_of(
            settings.data_project, patterns, partners, tuple(tenant.cdc.datasets)
        ).datasets:
            if (other := owners.setdefault(dataset, name)) != name:
                reason = f"tenant {name!r} would read dataset {dataset!r}, which is tenant {other!r}'s"
                yield document.problem(("cdc",), reason)
