"""Where things stand under ``configs/``: which files are read, and which lie where nobody would read them.

A file that looks like configuration but is in the wrong place, or ends in ``.yaml``, is a problem: it would be
ignored in silence otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platform_assets.config.document import Document, parse_document
from platform_assets.config.historic.shapes import shape_of
from platform_assets.config.reading import nearest, one_of
from platform_assets.engine.errors import Problem

RESERVED = (
    "alerts",
    "cdc",
    "deployments",
    "events",
    "metadata",
    "metrics",
    "migrations",
    "notifications",
    "pipelines",
    "procedures",
    "providers",
    "tenants",
)
_PIPELINE_FILE = "pipeline.yml"
_DEPTH = 3  # <provider>/<domain>/<pipeline>


@dataclass(frozen=True)
class PipelineFolder:
    """A folder that holds a ``pipeline.yml``; ``provider``, ``domain`` and ``name`` are its path."""

    path: Path
    tenant: str | None

    @property
    def provider(self) -> str:
        return self.path.parent.parent.name

    @property
    def domain(self) -> str:
        return self.path.parent.name

    @property
    def name(self) -> str:
        return self.path.name


def old_form(root: Path, path: Path) -> Iterator[Problem]:
    """That a YAML file is a pipeline as the replaced services wrote them, where it is one."""
    if not path.name.endswith((".yml", ".yaml")) or not path.is_file():
        return
    document = parse_document(path.read_text("utf-8", errors="replace"), relative(root, path), [])
    yield from old_document(document) if document else ()


def old_document(document: Document) -> Iterator[Problem]:
    """The same of a document that is read already."""
    if shape := shape_of(document.value):
        yield document.problem((), f"is in {shape}; 'platform-assets convert' translates it")


def relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def yaml_files(root: Path, kind: str, problems: list[Problem]) -> list[Path]:
    """``<root>/<kind>/*.yml``, by name."""
    folder = root / kind
    if not folder.is_dir():
        return []
    for path in sorted(folder.glob("*.yaml")):
        problems.append(
            Problem(relative(root, path), 1, "", "ends in .yaml; name it .yml", f"{path.stem}.yml")
        )
    return sorted(path for path in folder.glob("*.yml") if path.is_file())


def pipeline_folders(root: Path, tenants: frozenset[str], problems: list[Problem]) -> list[PipelineFolder]:
    """Shared pipelines, then each tenant's own, by path."""
    found = [PipelineFolder(path, None) for path in _folders(root, root / "pipelines", problems)]
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if folder.name in tenants:
            found += [PipelineFolder(path, folder.name) for path in _folders(root, folder, problems)]
        elif folder.name not in RESERVED:
            reason = f"is neither a folder of the configuration ({one_of(RESERVED)}) nor a tenant's"
            guess = nearest(folder.name, (*RESERVED, *tenants))
            problems.append(Problem(f"{folder.name}/", 1, "", reason, guess))
            problems += (old for path, _ in _walk(folder, 1) for old in old_form(root, path))
    return found


def _folders(root: Path, base: Path, problems: list[Problem]) -> Iterator[Path]:
    if not base.is_dir():
        return
    for path, depth in _walk(base, 1):
        if path.is_dir() and depth == _DEPTH:
            yield from _checked(root, path, problems)
        elif path.name == _PIPELINE_FILE and depth != _DEPTH + 1:
            where = f"{relative(root, base)}/<provider>/<domain>/<pipeline>/{_PIPELINE_FILE}"
            reason = f"stands in the wrong place; put it at {where}"
            problems.append(Problem(relative(root, path), 1, "", reason))
        elif depth <= _DEPTH:
            problems += old_form(root, path)


def _walk(folder: Path, depth: int) -> Iterator[tuple[Path, int]]:
    """Everything below a folder with its depth, by name; links to folders are not followed."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        yield folder / entry.name, depth
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, depth + 1)


def _checked(root: Path, folder: Path, problems: list[Problem]) -> Iterator[Path]:
    names = sorted(p.name for p in folder.iterdir())
    old: list[Problem] = []
    for name in names:
        if not name.endswith((".yml", ".yaml")) or name in (_PIPELINE_FILE, "dq.yml"):
            continue
        if found := list(old_form(root, folder / name)):
            old += found
            continue
        reason = f"is not read; a pipeline folder holds {_PIPELINE_FILE} and dq.yml"
        guess = nearest(name, (_PIPELINE_FILE, "dq.yml"))
        problems.append(Problem(relative(root, folder / name), 1, "", reason, guess))
    problems += old
    if _PIPELINE_FILE in names:
        yield folder
    elif names and not old:
        problems.append(Problem(f"{relative(root, folder)}/", 1, "", f"has no {_PIPELINE_FILE}"))
