"""The list of adapters: every entry is there, opens lazily, and says what is wrong with its settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from platform_assets.engine.deployment import AdapterSpec, DeploymentSpec
from platform_assets.engine.errors import ConfigError
from platform_assets.resources.bindings import ADAPTERS, SDKS, adapter_class, check, create, settings_model
from platform_assets.resources.object_store.local import LocalObjectStore
from platform_assets.resources.secrets.environment import EnvironmentSecretStore
from platform_assets_tests.config.tree import write_tree

ENTRIES = [(port, kind) for port, kinds in sorted(ADAPTERS.items()) for kind in kinds]


@pytest.mark.parametrize(("port", "kind"), ENTRIES, ids=lambda text: text)
def test_every_entry_is_a_class_with_strict_settings(port: str, kind: str) -> None:
    model = settings_model(adapter_class(port, kind))
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["frozen"]


def deployment(**ports: AdapterSpec | dict[str, AdapterSpec]) -> DeploymentSpec:
    given = {
        "warehouse": AdapterSpec(kind="duckdb", settings={"folder": "w"}),
        "object_store": AdapterSpec(kind="local", settings={"root": "o"}),
        "secrets": AdapterSpec(kind="environment"),
    } | ports
    return DeploymentSpec.model_validate(
        {"deployment": "d", "partitions": {"start_days_ago": 1}, "ports": given}
    )


def test_a_right_deployment() -> None:
    assert check(deployment()) == ()


def test_every_problem_is_told_with_its_place() -> None:
    found = check(
        deployment(
            warehouse=AdapterSpec(kind="duckdbb"),
            object_store=AdapterSpec(kind="local", settings={"rot": "x"}),
            queues={"events": AdapterSpec(kind="local", settings={"root": "q", "max_attempts": 0})},
            topics={"events": AdapterSpec(kind="kafka")},
        )
    )
    assert [(p.field, p.nearest) for p in found] == [
        (("ports", "object_store", "settings", "root"), None),
        (("ports", "object_store", "settings", "rot"), "root"),
        (("ports", "warehouse", "kind"), "duckdb"),
        (("ports", "queues", "events", "settings", "max_attempts"), None),
        (("ports", "topics", "events", "kind"), None),
    ]
    reasons = " ".join(p.reason for p in found)
    assert "is missing" in reasons
    assert "known: bigquery, duckdb" in reasons


def test_create(tmp_path: Path) -> None:
    store = create("object_store", "local", {"root": str(tmp_path)})
    assert isinstance(store, LocalObjectStore)
    store.put("a", b"1")
    assert store.get("a") == b"1"


def test_an_adapter_gets_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    environment = {"PLATFORM_SECRET__ACME1281__KEY": "value-under-test"}
    store = create("secrets", "environment", {}, environment=environment, unasked=5)
    assert isinstance(store, EnvironmentSecretStore)
    assert store.get("acme1281", "key").reveal() == "value-under-test"


def test_the_environment_is_on_offer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_SECRET__ACME1281__KEY", "value-under-test")
    assert create("secrets", "environment", {}).get("acme1281", "key").reveal() == "value-under-test"


@pytest.mark.parametrize(
    ("port", "kind", "settings", "reason"),
    [
        ("warehose", "duckdb", {}, "no port 'warehose'; known: .*warehouse"),
        ("warehouse", "oracle", {}, "no warehouse adapter 'oracle'; known: bigquery, duckdb"),
        ("warehouse", "duckdb", {}, "warehouse duckdb: folder is missing"),
        (
            "object_store",
            "local",
            {"root": "r", "x": 1},
            "object_store local: x is not a setting; known: root",
        ),
    ],
)
def test_what_cannot_be_created(port: str, kind: str, settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        create(port, kind, settings)


def test_checking_loads_no_vendor_library() -> None:
    """Definitions import the bindings in every run process."""
    code = (
        "import sys; from platform_assets.resources.bindings import ADAPTERS, adapter_class, settings_model\n"
        "for port, kinds in ADAPTERS.items():\n"
        "    for kind in kinds: settings_model(adapter_class(port, kind))\n"
        "vendors = ('boto3', 'google.cloud', 'grpc', 'duckdb', 'httpx', 'polars', 'obstore', 'dagster')\n"
        "print([v for v in vendors if v in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- A package that is not there ------------------------------------------------------------------------------------

WITHOUT = """\
import sys
from importlib.machinery import PathFinder

class Without:
    \"\"\"The import system without one package: neither its modules nor its distribution.\"\"\"

    def find_spec(self, name, path=None, target=None):
        return None if name.startswith(MODULE) else PathFinder.find_spec(name, path, target)

    def find_distributions(self, context):
        return (found for found in PathFinder.find_distributions(context) if found.name != PACKAGE)

PACKAGE, MODULE = sys.argv[1:3]
sys.meta_path[sys.meta_path.index(PathFinder)] = Without()
"""
MODULES = {
    "apprise": "apprise",
    "boto3": "boto3",
    "dagster-gcp": "dagster_gcp",
    "google-cloud-pubsub": "google.pubsub",
    "google-cloud-storage": "google.cloud.storage",
    "google-cloud-secret-manager": "google.cloud.secretmanager",
    "google-cloud-monitoring": "google.cloud.monitoring",
    "duckdb": "duckdb",
}
CHECKED = """
from platform_assets.engine.errors import ConfigError
from platform_assets.resources.bindings import ADAPTERS, SDKS, adapter_class
for port, kinds in ADAPTERS.items():
    for kind in kinds:
        try:
            adapter_class(port, kind)
        except ConfigError as error:
            print(kind, error, sep="|")
"""


@pytest.mark.parametrize("package", sorted(set(SDKS.values())))
def test_a_missing_package_is_named_for_every_adapter_that_needs_it_and_no_other(package: str) -> None:
    command = [sys.executable, "-c", WITHOUT + CHECKED, package, MODULES[package]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = dict(line.split("|") for line in done.stdout.splitlines())
    assert set(told) == {kind for kind, needed in SDKS.items() if needed == package}
    assert all(f"pip install {package}" in text for text in told.values()), told


def test_a_missing_package_fails_at_the_start_with_what_to_install(tmp_path: Path) -> None:
    """``doctor`` and the definitions read the same configuration; no adapter was opened yet."""
    root = write_tree(tmp_path / "configs")
    (root / "deployments" / "local.yml").write_text(CLOUD, "utf-8")
    environment = os.environ | {
        "PLATFORM_CONFIG_ROOT": str(root),
        "PLATFORM_HOME": str(tmp_path / "home"),
        "PLATFORM_DEPLOYMENT": "local",
    }
    starts = (
        "from platform_assets.cli import main\nmain(['doctor'])",
        "import platform_assets.definitions",
    )
    for start in starts:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT + start, "boto3", "boto3"],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode != 0, said
        assert "the object_store adapter 's3' needs boto3; install it with: pip install boto3" in said


CLOUD = """\
deployment: local
partitions: {start_days_ago: 30}
ports:
  warehouse: {kind: duckdb, settings: {folder: w}}
  object_store:
    kind: s3
    settings: {bucket: b}
  secrets: {kind: environment}
"""
