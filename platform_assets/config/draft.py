"""A pipeline folder as far as it could be read, before anybody knows what the other folders say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.config.document import Document, Location
from platform_assets.config.query_cache import QueryCache
from platform_assets.config.reading import nearest
from platform_assets.config.tree import PipelineFolder
from platform_assets.engine.errors import Problem
from platform_assets.engine.ingestion.spec import PipelineSpec
from platform_assets.engine.quality.spec import SuiteSpec
from platform_assets.engine.schema.model import TableSpec

if TYPE_CHECKING:
    from platform_assets.engine.sql.checked import Transform


@dataclass
class Draft:
    """A pipeline folder as far as it could be read. By step index: the table it owns, the SQL it runs (of a
    ``sql`` source, what it asks the other system), the queries a computation gets."""

    folder: PipelineFolder
    document: Document
    spec: PipelineSpec
    cache: QueryCache
    tables: dict[int, TableSpec] = field(default_factory=dict)
    transforms: dict[int, Transform] = field(default_factory=dict)
    inputs: dict[int, dict[str, Transform]] = field(default_factory=dict)
    suites: list[tuple[int, SuiteSpec]] = field(default_factory=list)
    dq: Document | None = None

    def problem(self, at: Location, reason: str, hint: str | None = None) -> Problem:
        return self.document.problem(at, reason, hint)


# --- The files it refers to ---------------------------------------------------------------------------


def referred_file(draft: Draft, at: Location, name: str, problems: list[Problem]) -> Path | None:
    """The file ``name`` of the pipeline's own folder, or None with the reason in ``problems``."""
    folder = draft.folder.path
    path = folder / name
    if name != Path(name).as_posix() or Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name:
        problems.append(draft.problem(at, f"{name!r} must be a plain path inside the pipeline folder"))
        return None
    if not path.is_file():
        files = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
        same_kind = [f for f in files if Path(f).suffix == path.suffix]
        problems.append(
            draft.problem(at, f"there is no file {name!r} in the folder", nearest(name, same_kind))
        )
        return None
    if _leaves(folder, path):
        problems.append(draft.problem(at, f"{name!r} is a link that leads out of the pipeline folder"))
        return None
    return path


def _leaves(folder: Path, path: Path) -> bool:
    """Whether a path below ``folder`` leads out of it by a link. Only links are followed: most files are none."""
    parents = [p for p in path.parents if p.is_relative_to(folder) and p != folder]
    linked = any(p.is_symlink() for p in (path, *parents))
    return linked and not path.resolve().is_relative_to(folder.resolve())


def raw_tables(value: Any) -> Iterator[str]:
    """The tables that a file which could not be read would have filled, as far as one can see."""
    steps = value.get("steps") if isinstance(value, Mapping) else None
    for step in steps if isinstance(steps, list) else ():
        destination = step.get("destination") if isinstance(step, Mapping) else None
        table = destination.get("table") if isinstance(destination, Mapping) else None
        if isinstance(table, str):
            yield table
