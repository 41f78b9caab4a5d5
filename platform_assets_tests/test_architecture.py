"""The arrows between rooms, kept true by reading the source."""

import ast
from pathlib import Path

import pytest

from platform_assets.resources.bindings import ADAPTERS

ROOT = Path(__file__).parent.parent / "platform_assets"
CONTRACTS = Path(__file__).parent / "contracts"

# Room → the rooms it may import from. ``engine`` imports nothing of ours but itself.
MAY_IMPORT = {
    "engine": {"engine"},
    "ports": {"engine"},
    "config": {"engine", "config"},
    "settings": {"engine", "settings"},
    "resources": {"engine", "ports", "resources"},
    "assets": {"engine", "ports", "assets", "resources.adapter"},
    "instance": {"instance", "engine", "config", "settings"},
}
# The composition of adapters hands the environment to the one adapter that reads secrets from it.
MAY_ALSO_IMPORT = {"resources/bindings.py": {"settings"}}
SIBLINGS = {"ingestion", "costs", "cdc", "events"}
IMPURE = {"dagster", "os", "socket", "requests", "httpx", "boto3", "google", "duckdb", "subprocess"}


def imports(path: Path) -> set[str]:
    """Every module a file imports, at the top or inside functions; TYPE_CHECKING imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
    return found


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def files(*rooms: str) -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if room_of(path) in rooms]


@pytest.mark.parametrize("path", files(*MAY_IMPORT), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_arrows(path: Path) -> None:
    allowed = MAY_IMPORT[room_of(path)] | MAY_ALSO_IMPORT.get(path.relative_to(ROOT).as_posix(), set())
    ours = {
        name.removeprefix("platform_assets.") for name in imports(path) if name.startswith("platform_assets.")
    }
    strangers = {name for name in ours if not any(name == a or name.startswith(f"{a}.") for a in allowed)}
    assert not strangers, f"{path.relative_to(ROOT)} may not import {sorted(strangers)}"


@pytest.mark.parametrize("path", files("engine"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_engine_is_pure(path: Path) -> None:
    roots = {name.partition(".")[0] for name in imports(path)}
    assert not roots & IMPURE, f"{path.relative_to(ROOT)} imports {sorted(roots & IMPURE)}"


@pytest.mark.parametrize("path", files("engine"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_engine_has_no_clock(path: Path) -> None:
    calls = {
        ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    }
    clocks = {"datetime.now", "datetime.utcnow", "date.today", "time.time", "monotonic", "time.monotonic"}
    assert not calls & clocks, f"{path.relative_to(ROOT)} reads the clock: {sorted(calls & clocks)}"


@pytest.mark.parametrize("path", files("engine"), ids=lambda p: str(p.relative_to(ROOT)))
def test_capabilities_do_not_know_one_another(path: Path) -> None:
    capability = path.relative_to(ROOT).parts[1]
    if capability in SIBLINGS:
        others = {f"platform_assets.engine.{name}" for name in SIBLINGS - {capability}}
        strangers = {
            name for name in imports(path) if any(name == o or name.startswith(f"{o}.") for o in others)
        }
        allowed = {
            "platform_assets.engine.ingestion.spec"
        }  # names and paths that every configuration speaks of
        assert not strangers - allowed


def test_dagster_stays_in_its_rooms() -> None:
    rooms = {"assets", "definitions", "instance", "demo"}
    users = [p for p in sorted(ROOT.rglob("*.py")) if "dagster" in {n.partition(".")[0] for n in imports(p)}]
    strangers = [str(p.relative_to(ROOT)) for p in users if room_of(p) not in rooms]
    assert strangers == ["resources/adapter.py"]


def reads_environment(path: Path) -> bool:
    names = {
        ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    }
    return bool(names & {"os.environ", "os.getenv", "os.environb"})


def test_only_settings_reads_the_environment() -> None:
    readers = [
        str(p.relative_to(ROOT))
        for p in files("engine", "ports", "config", "assets", "resources", "settings")
    ]
    readers = [name for name in readers if reads_environment(ROOT / name)]
    assert readers == ["settings.py"]


# Port, as bindings call it → its protocols; its contract suite is ``contracts/test_<port>.py``.
PROTOCOLS = {
    "http": ("HttpSources", "HttpSource"),
    "metric_sink": ("MetricSink",),
    "notifier": ("Notifier",),
    "object_store": ("ObjectStore",),
    "query_sources": ("QuerySources", "QuerySource"),
    "queue": ("MessageQueue",),
    "secrets": ("SecretStore",),
    "source_stores": ("SourceStores",),
    "topic": ("Topic",),
    "warehouse": ("Warehouse",),
}


def protocols(*files: str) -> dict[str, set[str]]:
    """Protocol → its methods."""
    classes = (
        n for f in files for n in ast.parse((ROOT / f).read_text()).body if isinstance(n, ast.ClassDef)
    )
    return {
        one.name: {node.name for node in one.body if isinstance(node, ast.FunctionDef)}
        for one in classes
        if "Protocol" in map(ast.unparse, one.bases)
    }


def test_every_port_has_adapters_and_a_contract() -> None:
    assert set(PROTOCOLS) == set(ADAPTERS)
    named = {name for names in PROTOCOLS.values() for name in names}
    assert set(protocols("ports.py")) <= named


@pytest.mark.parametrize("port", PROTOCOLS)
def test_a_ports_contract_calls_every_method_and_names_every_adapter(port: str) -> None:
    known = protocols("ports.py", "engine/ingestion/http.py", "engine/ingestion/query.py")
    methods = set[str]().union(*(known[name] for name in PROTOCOLS[port]))
    tree = ast.parse((CONTRACTS / f"test_{port}.py").read_text())
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    missing = methods - {call.attr for call in calls if isinstance(call, ast.Attribute)}
    assert not missing, f"no test of contracts/test_{port}.py calls {sorted(missing)}"
    assert f"ADAPTERS['{port}']" in ast.unparse(tree)
