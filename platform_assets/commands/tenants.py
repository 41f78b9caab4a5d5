"""``platform-assets tenant``: a tenant is one file below ``tenants/``, and adding one is writing that file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from platform_assets.config.document import parse_document
from platform_assets.config.reading import nearest, one_of, read_spec
from platform_assets.config.safety import find_unsafe
from platform_assets.config.tree import RESERVED
from platform_assets.config.values import currency_problems, timezone_problems
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.names import valid_tenant
from platform_assets.engine.notifications.tenant import PLATFORM
from platform_assets.engine.pipelines import Configuration
from platform_assets.engine.tenancy import TenantSpec


def add_tenant(
    root: Path,
    name: str,
    *,
    display_name: str,
    timezone: str,
    currency: str,
    fiscal_year_start_month: int,
    plan: str,
    credentials: Sequence[str],
) -> Path:
    """Write ``tenants/<name>.yml``. ``credentials`` are ``provider=secret_name``.

    Refuses a name that is no tenant id, is taken, or names a folder of the configuration; never overwrites.
    """
    _check_name(root, name)
    text = _text(name, display_name, timezone, currency, fiscal_year_start_month, plan, credentials)
    _check_text(root, name, text)
    path = root / "tenants" / f"{name}.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"tenant {name} exists already: {path}") from None
    return path


def _check_name(root: Path, name: str) -> None:
    if not valid_tenant(name):
        raise ConfigError(
            f"{name!r} is not a tenant id: 3 to 50 of a-z 0-9 _, a letter first, and not raw, silver, gold or"
            " metadata as a word"
        )
    if name in (*RESERVED, PLATFORM):
        reason = "is a folder of the configuration, or stands for the platform itself; choose another id"
        raise ConfigError(f"{name!r} {reason}")
    if (root / "tenants" / f"{name}.yml").exists():
        raise ConfigError(f"tenant {name} exists already: {root / 'tenants' / f'{name}.yml'}")


def _text(
    name: str, display: str, timezone: str, currency: str, month: int, plan: str, credentials: Sequence[str]
) -> str:
    lines = [
        "# yaml-language-server: $schema=../.schema/tenant.json",
        f"tenant: {name}",
        f"display_name: {_quoted(display)}",
        f"plan: {plan}",
        f"timezone: {timezone}",
        f"default_currency: {currency}",
        f"fiscal_year_start_month: {month}",
        "pipelines: all",
        *(["credentials:"] if credentials else ["credentials: []"]),
        *(line for text in credentials for line in _credential(text)),
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar that reads back as exactly this text."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'


def _credential(text: str) -> list[str]:
    provider, equals, secret = text.partition("=")
    if not (provider and equals and secret):
        raise ConfigError(f"{text!r} is not provider=secret_name, for example openai=openai_admin_key")
    return [f"  - id: {provider}", f"    provider: {provider}", f"    secret: {secret}"]


def _check_text(root: Path, name: str, text: str) -> None:
    """The file must be valid before it is written."""
    problems: list[Problem] = []
    document = parse_document(text, f"tenants/{name}.yml", problems)
    spec = document and read_spec(TenantSpec, document, problems)
    if document and spec:
        problems += find_unsafe(document)
        problems += timezone_problems(document, ("timezone",), spec.timezone)
        problems += currency_problems(document, ("default_currency",), spec.default_currency)
        problems += _unknown_providers(root, document.file, spec)
    if problems:
        raise ConfigError(f"tenant {name} would not be valid", tuple(problems))


def _unknown_providers(root: Path, file: str, spec: TenantSpec) -> list[Problem]:
    known = sorted(path.stem for path in (root / "providers").glob("*.yml"))
    return [
        Problem(
            file,
            1,
            "credentials",
            f"there is no provider {c.provider!r}; known: {one_of(known)}",
            nearest(c.provider, known),
        )
        for c in spec.credentials
        if c.provider not in known
    ]


def tenant_rows(configuration: Configuration) -> list[tuple[str, str, str, str, str]]:
    """(tenant, status, name, providers, pipelines that run) of each tenant, by name."""
    return [
        (
            name,
            spec.status,
            spec.display_name,
            ", ".join(sorted({c.provider for c in spec.credentials})) or "none",
            ", ".join(p.pipeline_id for p in configuration.tenant_pipelines(name)) or "none",
        )
        for name, spec in configuration.tenants.items()
    ]
