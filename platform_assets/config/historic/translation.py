"""Finds the old pipelines below a folder and translates each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from platform_assets.config.document import Document, parse_document
from platform_assets.config.historic import folders, readme, steps
from platform_assets.config.historic.apis import KnownProviders
from platform_assets.config.historic.model import Old, Translation
from platform_assets.config.historic.shapes import Shape, shape_of
from platform_assets.engine.errors import Problem

_PLATFORMS_OWN = ("notifications", "metadata", ".schema")


def translate_tree(root: Path, known: KnownProviders) -> tuple[Translation, ...]:
    """Every old pipeline below ``root``, by file name. ``known``: the providers of the configuration that the new
    files are for, with their base URLs. Two pipelines that would write one file with different content are refused."""
    found = [_translate(root, document, known) for document in old_pipelines(root)]
    return tuple(_without_clashes(found))


def old_pipelines(root: Path) -> Iterator[Document]:
    """The YAML files below ``root`` in one of the old forms."""
    for path in sorted(p for end in ("yml", "yaml") for p in root.rglob(f"*.{end}")):
        name = path.relative_to(root)
        if name.parts[0] in _PLATFORMS_OWN:
            continue
        document = parse_document(path.read_text("utf-8", errors="replace"), name.as_posix(), [])
        if document and shape_of(document.value):
            yield document


def _translate(root: Path, document: Document, known: KnownProviders) -> Translation:
    shape = shape_of(document.value)
    assert shape is not None, "only old pipelines are translated"
    old = Old(root, document, shape)
    if shape is Shape.README:
        readme.translate(old, known)
    elif shape is Shape.FOLDER:
        folders.translate(old)
    else:
        steps.translate(old, known)
    return old.done()


def _without_clashes(found: list[Translation]) -> Iterator[Translation]:
    written: dict[str, tuple[str, str]] = {}
    for one in found:
        clashes = [name for name, text in one.files.items() if written.get(name, (text, ""))[0] != text]
        written |= {name: (text, one.file) for name, text in one.files.items() if name not in written}
        reasons = [f"{name} is written by {written[name][1]} too, otherwise" for name in clashes]
        refused = tuple(Problem(one.file, 1, "", reason) for reason in reasons)
        yield replace(one, files={}, refused=one.refused + refused) if clashes else one
