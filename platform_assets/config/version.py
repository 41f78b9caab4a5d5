"""Which version of the configuration a run used: the git commit, read from ``.git`` without running git.

Where there is no repository (an image, a mounted folder), a hash over the files' names and content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def configuration_version(root: Path, files: Iterable[Path]) -> str:
    """A 40-digit commit id, or ``sha256:`` and 16 digits. An unfinished repository counts as none."""
    return _head(root) or _content_hash(root, files)


def _content_hash(root: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        data = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(data)}\0".encode())
        digest.update(data)
    return f"sha256:{digest.hexdigest()[:16]}"


def _head(root: Path) -> str | None:
    for folder in (root, *root.parents):
        marker = folder / ".git"
        if marker.exists():
            return _commit(_git_folder(marker))
    return None


def _git_folder(marker: Path) -> Path:
    """A worktree's or submodule's ``.git`` is a file that names the folder."""
    if marker.is_dir():
        return marker
    return marker.parent / marker.read_text("utf-8").removeprefix("gitdir:").strip()


def _commit(git: Path) -> str | None:
    head = _read(git / "HEAD")
    if not head.startswith("ref:"):
        return head if _is_commit(head) else None
    name = head.removeprefix("ref:").strip()
    common = git / (_read(git / "commondir") or ".")
    for candidate in (_read(git / name), _read(common / name), _packed(common, name)):
        if _is_commit(candidate):
            return candidate
    return None


def _packed(git: Path, name: str) -> str:
    lines = (line.split(" ") for line in _read(git / "packed-refs").splitlines())
    return next((parts[0] for parts in lines if parts[-1] == name), "")


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and all(c in "0123456789abcdef" for c in text)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""
