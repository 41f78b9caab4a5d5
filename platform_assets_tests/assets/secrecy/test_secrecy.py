"""No secret is kept anywhere but in its store, whatever the world outside says about it.

Real runs of a real code location, in a process of its own, on an instance with SQLite storage: one in which every
source and channel takes its secret, one in which each of them refuses and echoes it. Then everything that is left is
searched: Dagster's databases and compute logs, what the process wrote, warehouse files, outbox, objects, recordings.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.bindings import ADAPTERS
from platform_assets.resources.secrets.environment import variable_name
from platform_assets_tests.assets.secrecy.traces import found
from platform_assets_tests.assets.secrecy.world import (
    CLOUD,
    FIRST,
    GONE,
    KINDS,
    MODES,
    REFUSED,
    REST,
    TENANTS,
    THOROUGH,
    World,
    world,
)
from platform_assets_tests.config.tree import write_tree
from platform_assets_tests.servers.drongo import http_serving

ROOT = Path(__file__).parents[3]
PROJECT = "secrecy"
DAGSTER = "telemetry: {enabled: false}\n"
SCHEMA = [{"name": "id", "type": "STRING", "mode": "REQUIRED"}, {"name": "amount", "type": "NUMERIC"}]
_SENDS = {
    "type": "rest_api",
    "path": "/rows",
    "params": {"day": "{{ run_date }}", "tenant": "{{ tenant }}"},
    "records_path": "data[]",
}
_REST = {**_SENDS, "pagination": {"type": "link", "next_path": "next"}}
_SOURCES: Mapping[str, dict[str, Any]] = {
    "s3": {"type": "object_store", "bucket": "exports", "manifests": "cur/", "format": "csv"},
    "bigquery": {"type": "sql", "sql_file": "rows.sql", "tables": {"rows": "theirs.billing.rows"}},
}


def auth(kind: str, url: str) -> dict[str, Any]:
    name, _, _ = kind.partition("_")
    return {
        "bearer": {"type": "bearer"},
        "header": {"type": "header", "header": "X-Key", "prefix": "Key "},
        "query": {"type": "query", "param": "key"},
        "basic": {"type": "basic"},
        "oauth": {"type": "oauth2_client_credentials", "token_url": f"{url}/{kind}/token"},
        "google": {"type": "google_service_account", "token_url": f"{url}/{kind}/token"},
    }.get(name, {"type": "none"})


# --- Configuration ----------------------------------------------------------------------------------------------------


def configured(root: Path, outside: World, secrets: dict[str, Any], http: str) -> Path:
    files: dict[str, Any] = {
        "deployments/local.yml": deployment(root.parent / "home", outside, secrets, http)
    }
    for kind in KINDS:
        files |= pipeline(kind, outside.url)
    for tenant in TENANTS:
        credentials = [{"id": k, "provider": k, "secret": k.partition("_")[0]} for k in KINDS]
        files[f"tenants/{tenant}.yml"] = {
            "tenant": tenant,
            "display_name": tenant,
            "pipelines": "all",
            "credentials": credentials,
        }
    named = channels(
        outside,
        webhook_secret="slack_hook",
        password_secret="smtp_password",
        service_url_secret="service_address",
    )
    filled = channels(outside, webhook_url="${HOOK}", password="${PASSWORD}", service_url="${SERVICE}")
    files[f"{TENANTS[0]}/notifications.json"] = filled
    files["notifications/config.json"] = named
    write_tree(
        root, {name: value if isinstance(value, str) else json.dumps(value) for name, value in files.items()}
    )
    return root


def deployment(home: Path, outside: World, secrets: dict[str, Any], http: str) -> dict[str, Any]:
    gone = dict.fromkeys(GONE, f"http://127.0.0.1:{outside.gone_port}")
    urls = {kind: f"{outside.url}/{kind}" for kind in KINDS} | gone
    live: dict[str, Any] = {"base_urls": urls, "allow_loopback": True}
    if http == "recording":
        live = {"live": live, "folder": str(home / "recordings")}
    google = {"endpoint": f"{outside.url}/bigquery", "max_attempts": 1}
    aws = {"endpoint_url": f"{outside.url}/s3", "max_attempts": 1}
    return {
        "deployment": "local",
        "partitions": {"start_date": str(FIRST)},
        "ports": {
            "warehouse": {"kind": "duckdb", "settings": {"folder": str(home / "warehouse")}},
            "object_store": {"kind": "local", "settings": {"root": str(home / "objects")}},
            "secrets": secrets,
            "http": {"kind": http, "settings": live},
            "query_sources": {"kind": "bigquery", "settings": google},
            "source_stores": {"kind": "s3", "settings": aws},
            "notifiers": {
                "slack": {"kind": "slack", "settings": {"webhook_prefix": "http://127.0.0.1:"}},
                "email": {"kind": "smtp"},
                "service": {"kind": "apprise"},
            },
        },
    }


def pipeline(kind: str, url: str) -> dict[str, Any]:
    folder = f"pipelines/{kind}/cost/{kind}_rows"
    step = {
        "step_id": "rows",
        "type": "ingest",
        "source": _SOURCES.get(kind, _REST),
        "destination": {"table": f"raw_{kind}.rows", "schema_file": "rows_schema.json"},
    }
    once = {"max_attempts": 1}
    provider = {"provider": kind, "display_name": kind, "base_url": "https://api.example.com", "retry": once}
    return {
        f"providers/{kind}.yml": provider | {"auth": auth(kind, url)},
        f"{folder}/pipeline.yml": {
            "pipeline_id": f"{kind}_rows",
            "provider": kind,
            "domain": "cost",
            "steps": [step],
        },
        f"{folder}/rows_schema.json": SCHEMA,
        **({f"{folder}/rows.sql": "SELECT id, amount FROM source.rows"} if kind == "bigquery" else {}),
    }


def channels(outside: World, **secrets: str) -> dict[str, Any]:
    """All kinds of channels, told of every run. ``secrets``: how each channel's own is named or filled in."""

    def own(word: str) -> dict[str, str]:
        return {name: value for name, value in secrets.items() if name.startswith(word)}

    mail = {
        "smtp_host": "127.0.0.1",
        "smtp_port": outside.smtp_port,
        "smtp_use_tls": False,
        "username": "robot",
    }
    addresses = {"from_email": "platform@example.com", "to_emails": ["team@example.com"]}
    return {
        "channels": [
            {"type": "slack", "channel_id": "slack", **own("webhook")},
            {"type": "email", "channel_id": "email", **mail, **addresses, **own("password")},
            {"type": "service", "channel_id": "service", **own("service")},
        ],
        "event_triggers": [
            {"event": "pipeline_failure", "cooldown_seconds": 0},
            {"event": "pipeline_success", "cooldown_seconds": 0},
        ],
    }


# --- Stores -----------------------------------------------------------------------------------------------------------

Store = Callable[[pytest.FixtureRequest, Path, World], tuple[dict[str, Any], dict[str, str]]]


def _environment(request: pytest.FixtureRequest, folder: Path, outside: World) -> Any:
    """One tenant's secrets are variables, the other's are files."""
    as_variables, as_files = TENANTS
    for name, value in outside.secrets(as_files).items():
        file = folder / "files" / as_files / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
    variables = {
        str(variable_name(as_variables, name)): value for name, value in outside.secrets(as_variables).items()
    }
    return {"kind": "environment", "settings": {"folder": str(folder / "files")}}, variables


def _google(request: pytest.FixtureRequest, folder: Path, outside: World) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient

    url = request.getfixturevalue("drongo_url")
    admin = SecretManagerServiceClient(
        transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
    )
    replication: dict[str, Any] = {"replication": {"automatic": {}}}
    for tenant in TENANTS:
        for name, value in outside.secrets(tenant).items():
            parent = f"projects/{PROJECT}"
            made = admin.create_secret(parent=parent, secret_id=f"{tenant}--{name}", secret=replication)
            admin.add_secret_version(parent=made.name, payload={"data": value.encode()})
    settings = {"project_id": PROJECT, "endpoint": url, "pattern": "{tenant}--{name}"}
    return {"kind": "google", "settings": settings}, {}


def _aws(request: pytest.FixtureRequest, folder: Path, outside: World) -> Any:
    url = request.getfixturevalue("moto_url")
    admin = connect("secretsmanager", AwsSettings(endpoint_url=url))
    for tenant in TENANTS:
        for name, value in outside.secrets(tenant).items():
            admin.create_secret(Name=f"{folder.name}/{tenant}/{name}", SecretString=value)
    settings = {"endpoint_url": url, "pattern": f"{folder.name}/{{tenant}}/{{name}}"}
    return {"kind": "aws", "settings": settings}, {}


STORES: Mapping[str, Store] = {"aws": _aws, "environment": _environment, "google": _google}
# Recordings are written by one of them, so that they are looked through as well.
HTTP = {"aws": "recording", "environment": "live", "google": "live"}
# Answers do not depend on the store: one of them sees all there are.
DAYS = {"aws": 2, "environment": len(MODES), "google": 2}


@pytest.fixture(scope="module")
def drongo_url() -> Iterator[str]:
    with http_serving() as url:
        yield url


# --- What is left -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Left:
    """``folder`` holds all that the process wrote, its own output included."""

    folder: Path
    outside: World
    days: int

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Of both tenants; ``sql`` has ``{tenant}`` for the dataset's first part."""
        answers = []
        for tenant in TENANTS:
            path = self.folder / "warehouse" / f"{tenant}.duckdb"
            with duckdb.connect(str(path), read_only=True) as connection:
                answers += connection.sql(sql.format(tenant=tenant)).fetchall()
        return answers


@pytest.fixture(scope="module", params=sorted(STORES))
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    top = tmp_path_factory.mktemp("secrecy")
    home = top / "home"
    (home / "dagster").mkdir(parents=True)
    (home / "dagster" / "dagster.yaml").write_text(DAGSTER)
    with world() as outside:
        secrets, variables = STORES[request.param](request, top, outside)
        root = configured(top / "configs", outside, secrets, HTTP[request.param])
        own = outside.secrets(TENANTS[0])
        environment = {
            "DAGSTER_HOME": str(home / "dagster"),
            "PLATFORM_HOME": str(home),
            "PLATFORM_DEPLOYMENT": "local",
            "PLATFORM_CONFIG_ROOT": str(root),
            "HOOK": own["slack_hook"],
            "PASSWORD": own["smtp_password"],
            "SERVICE": own["service_address"],
            **variables,
        }
        days = [str(FIRST + timedelta(days=number)) for number in range(DAYS[request.param])]
        command = [sys.executable, "-m", "platform_assets_tests.assets.secrecy.runs", *days]
        with (home / "output.log").open("wb") as output:
            done = subprocess.run(
                command, cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output, check=False
            )
        text = (home / "output.log").read_text()
        assert done.returncode == 0, text[-4000:]
        yield Left(home, outside, len(days))


def test_every_store_has_its_runs() -> None:
    assert set(STORES) == set(ADAPTERS["secrets"])


def test_everything_went_well_once_and_wrong_in_every_way(left: Left) -> None:
    modes = {(kind, mode.__name__) for kind in REST for mode in MODES[:2]}
    modes |= {(kind, mode.__name__) for kind in THOROUGH for mode in MODES[: left.days]}
    refused = {(kind, "refused") for kind in (*REFUSED, *CLOUD, "slack", "service", "smtp")}
    taken = {(kind, "taken") for kind in ("slack", "service", "smtp")}
    assert left.outside.asked == modes | refused | taken
    statuses = left.rows("SELECT pipeline_id, status FROM {tenant}_metadata.step_logs GROUP BY ALL")
    assert set(statuses) == {(f"{kind}_rows", "COMPLETED") for kind in REST} | {
        (f"{kind}_rows", "FAILED") for kind in KINDS
    }
    told = left.rows("SELECT channel_id, status FROM {tenant}_metadata.notification_history GROUP BY ALL")
    assert set(told) == {(c, s) for c in ("slack", "email", "service") for s in ("sent", "failed")}


def test_what_was_masked_is_told_as_masked(left: Left) -> None:
    errors = left.rows(
        "SELECT DISTINCT pipeline_id FROM {tenant}_metadata.step_logs WHERE error_message LIKE '%***%'"
    )
    assert {f"{kind}_rows" for kind in REST} <= {name for (name,) in errors}


def test_no_secret_is_anywhere(left: Left) -> None:
    needles = [n for tenant in TENANTS for several in left.outside.needles(tenant).values() for n in several]
    assert found(left.folder, needles) == []
