"""A step's request for one slice, from its templates. Nothing is sent here; ``platform-assets plan`` prints it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.ingestion.http import HttpRequest
from platform_assets.engine.ingestion.spec import ParamValue, ProviderSpec, RestSource
from platform_assets.engine.ingestion.variables import render


def first_request(source: RestSource, provider: ProviderSpec, variables: Mapping[str, Any]) -> HttpRequest:
    """The first request without its paging parameters. ConfigError where a template cannot be rendered."""
    return HttpRequest(
        method=source.method,
        url=_url(provider, render(source.path, variables)),
        params=tuple(_params(source, variables)),
        headers=tuple((name, render(text, variables)) for name, text in source.headers.items()),
        json=None if source.body is None else {k: _body(v, variables) for k, v in source.body.items()},
    )


def _url(provider: ProviderSpec, path: str) -> str:
    if "://" in path or path.startswith("//") or ".." in path.split("/") or "?" in path or "#" in path:
        raise ConfigError(f"{path!r} must be a plain path below {provider.provider}'s base_url")
    return f"{provider.base_url.rstrip('/')}/{path.lstrip('/')}"


def _params(source: RestSource, variables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in source.params.items():
        if not isinstance(value, list):
            yield name, _text(value, variables)
        elif source.array_style == "comma":
            yield name, ",".join(_text(v, variables) for v in value)
        else:
            key = f"{name}[]" if source.array_style == "brackets" and not name.endswith("[]") else name
            yield from ((key, _text(v, variables)) for v in value)


def _text(value: str | int | bool, variables: Mapping[str, Any]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return render(value, variables) if isinstance(value, str) else str(value)


def _body(value: ParamValue, variables: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [render(v, variables) for v in value]
    return render(value, variables) if isinstance(value, str) else value
