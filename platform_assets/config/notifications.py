"""Notification files: the root's, each tenant's own, the templates; ``${NAME}`` filled, older shapes translated.

A variable that is not set is a problem that names it, never an empty text. It is asked for only where it will be used:
not in a disabled file or channel, and not for a kind of channel that the deployment writes to its log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from platform_assets.config.document import Document, Location, read_json_document, read_text
from platform_assets.config.placeholders import fill
from platform_assets.config.reading import nearest, one_of, read_spec
from platform_assets.config.safety import find_unsafe, find_unsafe_urls
from platform_assets.config.tree import relative
from platform_assets.engine.deployment import AdapterSpec
from platform_assets.engine.errors import Problem
from platform_assets.engine.notifications.legacy import Translation, translate
from platform_assets.engine.notifications.message import Template, check_template
from platform_assets.engine.notifications.spec import NotificationsSpec
from platform_assets.engine.notifications.tenant import PLATFORM, Notifications, for_tenant
from platform_assets.engine.tenancy import NotificationOverride, TenantSpec

ROOT_FILE = "notifications/config.json"
OWN_FILE = "notifications.json"
TEMPLATES = "notifications/templates"
_SUFFIXES = (".html", ".txt")
_PLACEHOLDER = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::-([^{}]*))?\}")
_NOT_ASKED_FOR = "not-asked-for@unset.invalid"  # stands for a variable that nobody needs here


@dataclass(frozen=True)
class _Translated(Document):
    """A file in our shape, whose problems stand where they stand in the file."""

    translation: Translation

    def line(self, location: Location) -> int:
        return super().line(self.translation.origin(location))

    def problem(self, location: Location, reason: str, nearest: str | None = None) -> Problem:
        return super().problem(self.translation.origin(location), reason, nearest)


@dataclass
class NotificationReader:
    """Reads below ``root`` for one deployment: ``notifiers`` are its adapters by kind of channel."""

    root: Path
    notifiers: Mapping[str, AdapterSpec]
    environment: Mapping[str, str]
    problems: list[Problem]
    notes: list[str] = field(default_factory=list)

    def read(self, tenants: Mapping[str, TenantSpec], known_tenants: Iterable[str]) -> Notifications:
        """Configuration by tenant; what is wrong goes to ``problems``."""
        templates = self._templates()
        self._refuse_strays(known_tenants)
        root = self._file(ROOT_FILE, templates)
        found = {PLATFORM: for_tenant(root, None, NotificationOverride())}
        for name in sorted(known_tenants):
            own = self._file(f"{name}/{OWN_FILE}", templates)
            if name in tenants:
                found[name] = for_tenant(root, own, tenants[name].notifications)
        return Notifications(MappingProxyType(found), templates, tuple(self.notes))

    # --- Files ----------------------------------------------------------------------------------------------------

    def _file(self, name: str, templates: Mapping[str, Template]) -> NotificationsSpec | None:
        path = self.root / name
        if not path.is_file():
            return None
        document = read_json_document(path, name, self.problems)
        if document is None:
            return None
        before = len(self.problems)
        translated = self._in_our_shape(document)
        spec = (
            read_spec(NotificationsSpec, translated, self.problems, strict=False)
            if len(self.problems) == before
            else None
        )
        if spec:
            self.problems.extend(_wrong_names(translated, spec, templates))
            self.problems.extend(self._unbound(translated, spec))
        return spec

    def _in_our_shape(self, document: Document) -> _Translated:
        """Translated, then filled. Plaintext secrets are looked for before anything is filled in."""
        self.problems.extend(find_unsafe(document))
        translation = translate(document.value)
        self.notes += [f"{document.file}: {note}" for note in translation.notes]
        value = self._spared(translation.value)
        unfilled = _Translated(document.file, value, document.lines, translation)
        filled = fill(unfilled, self.environment, self.problems).value
        made = _Translated(document.file, filled, document.lines, translation)
        self.problems.extend(find_unsafe_urls(made))
        return made

    def _spared(self, value: Any) -> Any:
        """The value without the placeholders that need no variable here."""
        if not isinstance(value, dict):
            return value
        if value.get("enabled") is False:
            return _unasked(value)
        channels = value.get("channels")
        if not isinstance(channels, list):
            return value
        return value | {"channels": [_unasked(c) if self._only_logged(c) else c for c in channels]}

    def _only_logged(self, channel: Any) -> bool:
        if not isinstance(channel, dict):
            return False
        adapter = self.notifiers.get(str(channel.get("type")))
        return channel.get("enabled") is False or (adapter is not None and adapter.kind == "log")

    def _unbound(self, document: Document, spec: NotificationsSpec) -> Iterator[Problem]:
        for index, channel in enumerate(spec.channels):
            if spec.enabled and channel.enabled and channel.type not in self.notifiers:
                reason = f"the deployment's ports.notifiers has no {channel.type!r}; it has {one_of(self.notifiers)}"
                yield document.problem(("channels", index, "type"), reason)

    def _refuse_strays(self, tenants: Iterable[str]) -> None:
        for folder, expected in (
            ("notifications", "config.json"),
            *((name, OWN_FILE) for name in sorted(tenants)),
        ):
            for path in sorted((self.root / folder).glob("*")):
                if path.is_file() and path.suffix in (".json", ".yml", ".yaml") and path.name != expected:
                    reason = f"is not read; notifications are configured in {expected}"
                    self.problems.append(Problem(relative(self.root, path), 1, "", reason, expected))

    def _templates(self) -> Mapping[str, Template]:
        """``notifications/templates/<name>.html`` and ``.txt``, by name."""
        found: dict[str, dict[str, str]] = {}
        for path in sorted((self.root / TEMPLATES).glob("*")):
            file = relative(self.root, path)
            if path.suffix not in _SUFFIXES:
                self.problems.append(
                    Problem(file, 1, "", f"is not read; templates end in {one_of(_SUFFIXES)}")
                )
                continue
            source = read_text(path, file, self.problems)
            if source is None:
                continue
            self.problems += [Problem(file, p.line, "", p.reason, p.nearest) for p in check_template(source)]
            found.setdefault(path.stem, {})["html" if path.suffix == ".html" else "text"] = source
        return MappingProxyType({name: Template(**sources) for name, sources in found.items()})


def _unasked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unasked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_unasked(item) for item in value]
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: match[1] or _NOT_ASKED_FOR, value)
    return value


def _wrong_names(
    document: Document, spec: NotificationsSpec, templates: Mapping[str, Template]
) -> Iterator[Problem]:
    """Channels and templates that are named and not there."""
    channels = [c.channel_id for c in spec.channels]
    named: list[tuple[Location, str]] = []
    for i, trigger in enumerate(spec.event_triggers or ()):
        place: Location = ("event_triggers", i)
        named += _named((*place, "channels"), trigger.channels)
        named += _named((*place, "escalate_to"), trigger.escalate_to)
        if trigger.template and trigger.template not in templates:
            reason = f"there is no template {trigger.template!r}; known: {one_of(templates) or 'none'}"
            yield document.problem((*place, "template"), reason, nearest(trigger.template, templates))
    for i, summary in enumerate(spec.summaries):
        named += _named(("summaries", i, "channels"), summary.channels)
    for at, name in named:
        if name not in channels:
            reason = f"there is no channel {name!r}; known: {one_of(channels) or 'none'}"
            yield document.problem(at, reason, nearest(name, channels))


def _named(at: Location, names: Any) -> list[tuple[Location, str]]:
    return [] if isinstance(names, str) else [((*at, i), name) for i, name in enumerate(names)]
