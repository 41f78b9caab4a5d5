"""``platform-assets convert``: pipelines in the replaced services' forms, translated, tried out and written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from platform_assets.commands.validating import load_configuration
from platform_assets.config.document import read_document
from platform_assets.config.historic.model import Translation
from platform_assets.config.historic.translation import translate_tree
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.settings import Settings


def convert(settings: Settings, old: Path) -> tuple[Translation, ...]:
    """Translate every old pipeline below ``old`` for the configuration of ``settings``. ConfigError where there is
    none."""
    found = translate_tree(old, _providers(settings.config_root))
    if not found:
        raise ConfigError(f"there is no pipeline in an old form below {old}")
    return found


def _providers(root: Path) -> dict[str, str]:
    """Provider → base URL, of the provider files that can be read."""
    found = {}
    for path in sorted((root / "providers").glob("*.yml")):
        document = read_document(path, path.name, [])
        if document and isinstance(document.value, Mapping):
            found[path.stem] = str(document.value.get("base_url", ""))
    return found


def try_out(settings: Settings, found: Sequence[Translation]) -> None:
    """Load the configuration as it would be with the new files, in a place of its own. ConfigError with every
    problem."""
    with TemporaryDirectory() as name:
        root = Path(name) / "configs"
        shutil.copytree(settings.config_root, root)
        write(root, found)
        load_configuration(replace(settings, config_root=root))


def write(root: Path, found: Sequence[Translation]) -> list[str]:
    """Write the new files below ``root``; returns their names. ConfigError before anything is written where one
    exists with other content."""
    files = {name: text for one in found for name, text in one.files.items()}
    taken = [n for n, text in files.items() if (root / n).exists() and (root / n).read_text("utf-8") != text]
    if taken:
        problems = tuple(Problem(name, 1, "", "exists already, with other content") for name in taken)
        raise ConfigError("nothing was written", problems)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return sorted(files)


def lines(found: Sequence[Translation]) -> Iterator[str]:
    """What became of each old pipeline, then the counts."""
    for one in found:
        yield f"{one.file}: {one.shape}: {_fate(one)}"
        yield from (f"  refused  {problem}" for problem in one.refused)
        yield from (f"  remark   {problem}" for problem in one.remarks)
    refused = sum(bool(one.refused) for one in found)
    translated = sum(bool(one.files) for one in found)
    replaced = len(found) - refused - translated
    yield f"{len(found)} old pipeline(s): {translated} translated, {replaced} replaced, {refused} refused"


def _fate(one: Translation) -> str:
    if one.refused:
        return "refused"
    if one.files:
        folder = next(name for name in one.files if name.endswith("/pipeline.yml")).rpartition("/")[0]
        return f"translated to {folder}"
    return f"replaced by {', '.join(one.replaced_by) or 'what the platform does by itself'}"
