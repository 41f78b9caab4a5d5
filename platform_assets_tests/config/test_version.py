"""The version is the commit that is checked out, however git keeps it, or a hash of the content."""

from pathlib import Path

import pytest

from platform_assets.config.version import configuration_version

COMMIT, OTHER = "a1" * 20, "b2" * 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repository" / "configs"
    folder.mkdir(parents=True)
    (folder / "a.yml").write_text("a: 1")
    return folder


def version(root: Path) -> str:
    return configuration_version(root, [p for p in root.rglob("*") if p.is_file()])


def git(root: Path, **files: str) -> Path:
    folder = root.parent / ".git"
    write(folder, files)
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_branch(root: Path) -> None:
    git(root, HEAD="ref: refs/heads/main\n", refs__heads__main=COMMIT + "\n")
    assert version(root) == COMMIT


def test_a_detached_head(root: Path) -> None:
    git(root, HEAD=COMMIT + "\n")
    assert version(root) == COMMIT


def test_a_packed_branch(root: Path) -> None:
    folder = git(root, HEAD="ref: refs/heads/main\n")
    (folder / "packed-refs").write_text(
        f"# pack-refs\n{OTHER} refs/heads/other\n{COMMIT} refs/heads/main\n^{OTHER}\n"
    )
    assert version(root) == COMMIT


def test_a_worktree(root: Path, tmp_path: Path) -> None:
    main = tmp_path / "elsewhere"
    write(
        main,
        {
            "refs/heads/topic": COMMIT,
            "worktrees/w/HEAD": "ref: refs/heads/topic",
            "worktrees/w/commondir": "../..",
        },
    )
    (root.parent / ".git").write_text(f"gitdir: {main / 'worktrees' / 'w'}\n")
    assert version(root) == COMMIT


def test_a_repository_without_a_commit_counts_as_none(root: Path) -> None:
    git(root, HEAD="ref: refs/heads/main\n")
    assert version(root).startswith("sha256:")


def test_without_git_the_content_decides(root: Path) -> None:
    before = version(root)
    (root / "a.yml").write_text("a: 2")
    changed = version(root)
    (root / "a.yml").rename(root / "b.yml")
    assert len({before, changed, version(root)}) == 3
    (root / "b.yml").rename(root / "a.yml")
    (root / "a.yml").write_text("a: 1")
    assert version(root) == before
