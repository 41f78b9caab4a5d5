"""REST sources of the old forms: where the API lives, how one authenticates, how pages follow one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platform_assets.config.document import Location
from platform_assets.config.historic.model import Keys, Old
from platform_assets.config.historic.words import request_text
from platform_assets.config.historic.writing import yaml_text

KnownProviders = Mapping[str, str]  # name → base URL, of the configuration that the new files go to


def provider_path(
    old: Old, at: Location, name: str, url: str, known: KnownProviders, settings: Mapping[str, Any]
) -> str:
    """The path of ``url`` below its provider's base URL, whose file is added where there is none yet."""
    if name in known:
        base = known[name].rstrip("/")
        if url != base and not url.startswith(f"{base}/"):
            old.refuse(at, f"{url} is not below {base}, which providers/{name}.yml says")
            return "/"
        old.remark(at, f"uses providers/{name}.yml as it is")
        return url[len(base) :] or "/"
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    head = {"provider": name, "display_name": name, "base_url": f"{scheme}://{host}"}
    old.files[f"providers/{name}.yml"] = yaml_text({**head, **settings}, "provider", depth=1)
    return f"{slash}{path}" or "/"


def auth(keys: Keys) -> dict[str, Any]:
    """``auth{type, header_name, header_prefix, …}``; the secret's name goes to the tenant's credential."""
    kind = keys.text("type", "none")
    header, prefix = keys.text("header_name") or keys.text("header"), keys.text("header_prefix")
    secret = keys.text("secret_key")
    if secret:
        keys.old.remark(
            (*keys.at, "secret_key"), f"name the secret in each tenant's credential: secret: {secret}"
        )
    found: dict[str, Any] | None = _AUTH.get(kind, lambda *_: None)(header, prefix, keys)
    keys.end()
    if found is None:
        keys.old.refuse((*keys.at, "type"), f"must be one of {', '.join(sorted(_AUTH))}, not {kind!r}")
        return {"type": "none"}
    return found


def _oauth2(header: str, prefix: str, keys: Keys) -> dict[str, Any]:
    return {"type": "oauth2_client_credentials", "token_url": keys.need("token_url")} | (
        {"scope": keys.text("scope")} if keys.has("scope") else {}
    )


def _query_auth(header: str, prefix: str, keys: Keys) -> dict[str, Any]:
    return {"type": "query", "param": keys.text("param") or keys.text("query_param", "api_key")}


def _header_auth(header: str, prefix: str, keys: Keys) -> dict[str, Any]:
    return {"type": "header", "header": header or "X-API-Key"} | ({"prefix": prefix} if prefix else {})


_AUTH: Mapping[str, Any] = {
    "none": lambda *_: {"type": "none"},
    "bearer": lambda *_: {"type": "bearer"},
    "basic": lambda *_: {"type": "basic"},
    "api_key": _header_auth,
    "header": _header_auth,
    "query": _query_auth,
    "oauth2": _oauth2,
}


def pagination(keys: Keys, defaults: Mapping[str, str]) -> dict[str, Any]:
    """One of ours. ``defaults`` are the old form's own, for what it left unsaid."""
    kind = keys.text("type", "none" if not keys.value else "cursor")
    token = (
        keys.text("response_path")
        or keys.text("cursor_field")
        or keys.text("next_path")
        or defaults["token_path"]
    )
    param = keys.text("token_param") or keys.text("cursor_param") or keys.text("param") or defaults["param"]
    size = keys.take("page_size", int, 0) or keys.take("limit", int, 0) or 100
    size_param = keys.text("page_size_param") or keys.text("limit_param") or defaults.get("size_param", "")
    keys.end()
    found = _PAGINATION.get(kind)
    if found is None:
        keys.old.refuse((*keys.at, "type"), f"must be one of {', '.join(sorted(_PAGINATION))}, not {kind!r}")
        return {"type": "none"}
    return dict(found(param, token, size, size_param))


_PAGINATION: Mapping[str, Any] = {
    "none": lambda *_: {"type": "none"},
    "cursor": lambda param, token, *_: {"type": "cursor", "param": param, "token_path": token},
    "token": lambda param, token, *_: {"type": "page_token", "param": param, "token_path": token},
    "offset": lambda param, token, size, _: {"type": "offset", "page_size": size},
    "page": lambda param, token, size, name: (
        {"type": "page_number", "page_size": size} | ({"size_param": name} if name else {})
    ),
    "link": lambda param, token, *_: {"type": "link"},
}


def limits(per_minute: int, retries: int, timeout: int) -> dict[str, Any]:
    """A provider's limits; 0 is what nobody said."""
    found: dict[str, Any] = {}
    if per_minute:
        found["rate_limit"] = {"requests_per_minute": per_minute}
    if retries:
        found["retry"] = {"max_attempts": min(retries + 1, 10)}
    if timeout:
        found["timeout_seconds"] = timeout
    return found


def params(keys: Keys, constants: Mapping[str, Any]) -> dict[str, Any]:
    """Query parameters, their placeholders as templates of ours; what nothing fills is refused."""
    found: dict[str, Any] = {}
    for name, value in keys.value.items():
        keys.taken.add(name)
        if isinstance(value, str):
            text, unknown = request_text(value, constants)
            found[name] = text
            for word in unknown:
                keys.old.refuse((*keys.at, name), f"nothing fills {{{word}}}")
        elif isinstance(value, int | bool | list):
            found[name] = value
        else:
            keys.old.refuse((*keys.at, name), f"{value!r} is no parameter's value")
    return found
