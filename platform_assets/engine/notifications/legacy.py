"""The two shapes that notification files had before, brought to ours in one step. Nothing is guessed in silence:
each change is told in words, and each new place knows the old one, so that problems name the line as it stands.

Shapes: the README's (``email_config``, ``slack_config``, ``event_triggers`` by name) and the code's (``email``,
``slack``, ``event_triggers`` as a list with ``providers``). Source: reference/cost-platform.md §6.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Place: TypeAlias = tuple[str | int, ...]

_PROVIDERS = ("email", "slack")
_RENAMED: Mapping[str, Mapping[str, str]] = {
    "email": {"use_tls": "smtp_use_tls", "recipients": "to_emails"},
    "slack": {"default_channel": "channel"},
}


@dataclass
class Translation:
    """``value`` in our shape; ``moves``: new place → old place; ``notes``: what was changed, for the reader."""

    value: Any
    moves: dict[Place, Place] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def origin(self, place: Place) -> Place:
        """Where a place of our shape stands in the file."""
        for length in range(len(place), 0, -1):
            if place[:length] in self.moves:
                return (*self.moves[place[:length]], *place[length:])
        return place


def translate(value: Any) -> Translation:
    """A file's value in our shape. What is in neither shape is left for the model to refuse."""
    if not isinstance(value, dict):
        return Translation(value)
    made = Translation({k: v for k, v in value.items() if k not in _sections(value)})
    _channels(value, made)
    _triggers(value, made)
    return made


# What the README's shape left to the environment without saying so.
_FROM_ENVIRONMENT: Mapping[str, Mapping[str, Any]] = {
    "email_config": {
        "username": "${SMTP_USERNAME}",
        "password": "${SMTP_PASSWORD}",
        "from_email": "${SMTP_USERNAME}",
        "to_emails": ["${DEFAULT_ADMIN_EMAIL}"],
    },
    "slack_config": {"webhook_url": "${SLACK_WEBHOOK_URL}"},
}


def _sections(value: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        name for kind in _PROVIDERS for name in (kind, f"{kind}_config") if isinstance(value.get(name), dict)
    )


def _channels(value: Mapping[str, Any], made: Translation) -> None:
    given = value.get("channels", [])
    if not isinstance(given, list):
        return
    channels = list(given)
    for name in _sections(value):
        kind = name.removesuffix("_config")
        place: Place = ("channels", len(channels))
        made.moves[place] = (name,)
        made.notes.append(f"{name}: read as the channel {kind!r}")
        channels.append({"type": kind, "channel_id": kind} | _renamed(name, kind, value[name], place, made))
    if channels or "channels" in value:
        made.value["channels"] = channels


def _renamed(
    name: str, kind: str, section: Mapping[str, Any], place: Place, made: Translation
) -> dict[str, Any]:
    renamed = _RENAMED[kind]
    for old in sorted(renamed.keys() & section.keys()):
        made.moves[(*place, renamed[old])] = (name, old)
        made.notes.append(f"{name}.{old}: read as {renamed[old]}")
    channel = {renamed.get(key, key): item for key, item in section.items()}
    for key, item in _FROM_ENVIRONMENT.get(name, {}).items():
        if not {key, f"{key}_secret", key.replace("_url", "_secret")} & channel.keys():
            made.notes.append(f"{name}: {key} is {item}")
            channel[key] = item
    return channel


def _triggers(value: Mapping[str, Any], made: Translation) -> None:
    given = value.get("event_triggers")
    if isinstance(given, dict):
        made.notes.append("event_triggers: the mapping is read as a list")
        entries = [(("event_triggers", name), name, item) for name, item in given.items()]
    elif isinstance(given, list):
        entries = [(("event_triggers", i), None, item) for i, item in enumerate(given)]
    else:
        return
    made.value["event_triggers"] = [
        _trigger(old, name, item, ("event_triggers", index), made)
        for index, (old, name, item) in enumerate(entries)
    ]


def _trigger(old: Place, name: str | None, item: Any, place: Place, made: Translation) -> Any:
    if not isinstance(item, dict):
        return item
    made.moves[place] = old
    trigger = dict(item) if name is None else {"event": name} | item
    event = trigger.get("event")
    if isinstance(event, str) and event != event.lower():
        made.notes.append(f"{event}: read as {event.lower()}")
        trigger["event"] = event.lower()
    if "providers" in trigger:
        made.moves[(*place, "channels")] = (*old, "providers")
        made.notes.append(f"{trigger.get('event')}.providers: read as channels")
        trigger["channels"] = _providers(trigger.pop("providers"))
    return trigger


def _providers(given: Any) -> Any:
    """``email``, ``slack``, ``both``, or a list of them."""
    if isinstance(given, str):
        given = [given]
    return list(_PROVIDERS) if given == ["both"] else given
