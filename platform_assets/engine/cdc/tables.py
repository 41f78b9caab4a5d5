"""Which warehouse tables a partner's messages may name, and what their names become.

A name comes in a message's variable, so it is nobody's to trust. It is 1, 2 or 3 identifiers; its project is the
data project, and its dataset one that belongs to the partner by the deployment's patterns or the tenant's own list.
Everything else is refused (``DataError``): wildcards, decorators, metadata views, backticks, other partners' datasets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from platform_assets.engine.errors import DataError

_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}", re.ASCII)
_TABLE = re.compile(r"[A-Za-z0-9_-]{1,1024}", re.ASCII)
_METADATA = re.compile(r"INFORMATION_SCHEMA|__TABLES", re.IGNORECASE)
_SHOWABLE = re.compile(r"[\w.$*`-]{1,80}", re.ASCII)


@dataclass(frozen=True, order=True)
class SourceTable:
    """A table of the data project. Only ``resolve`` makes one."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"


@dataclass(frozen=True)
class DataScope:
    """What one partner may read: datasets of one project. The first is where names without a dataset are."""

    project: str
    datasets: tuple[str, ...]

    def resolve(self, name: str, variable: str) -> SourceTable:
        """``name`` as a message's ``variable`` gave it → the table. DataError tells the variable, and the name only
        where it is made of a name's letters."""
        parts = name.split(".")
        if len(parts) > 3 or not all(_TABLE.fullmatch(part) for part in parts):
            raise DataError(f"variable '{variable}' is not [project.]dataset.table: {shown(name)}")
        table = parts[-1]
        dataset = parts[-2] if len(parts) > 1 else self._default(variable)
        project = parts[-3] if len(parts) > 2 else self.project
        if not _DATASET.fullmatch(dataset) or _METADATA.search(name):
            raise DataError(f"variable '{variable}' is not [project.]dataset.table: {shown(name)}")
        if project != self.project:
            raise DataError(
                f"variable '{variable}' names project {project!r}; the data are in {self.project!r}"
            )
        if dataset not in self.datasets:
            known = ", ".join(self.datasets) or "none"
            raise DataError(f"variable '{variable}' names dataset {dataset!r}; the partner's are {known}")
        return SourceTable(project, dataset, table)

    def _default(self, variable: str) -> str:
        if not self.datasets:
            raise DataError(f"variable '{variable}' names no dataset, and the partner has none")
        return self.datasets[0]


def scope_of(
    project: str, patterns: tuple[str, ...], partners: tuple[str, ...], own: tuple[str, ...]
) -> DataScope:
    """A tenant's: ``patterns`` with each of its ``partners`` for ``{partner}``, then its ``own`` datasets."""
    named = [pattern.replace("{partner}", partner) for partner in partners for pattern in patterns]
    return DataScope(
        project, tuple(dict.fromkeys(name for name in (*named, *own) if _DATASET.fullmatch(name)))
    )


def shown(name: str) -> str:
    """A name from a message, for people: as it is only where it has nothing but a name's letters."""
    return repr(name) if _SHOWABLE.fullmatch(name) else f"text of {len(name)} characters"
