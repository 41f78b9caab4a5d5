"""The demo's folder: Dagster's history, the warehouse files, and two tokens that only the bundled API accepts."""

from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from shutil import copyfile

TENANTS = ("acme1281", "globex")
SECRET_NAME = "openai_admin_key"  # noqa: S105 - the secret's name, not its value


@dataclass(frozen=True)
class Home:
    root: Path
    dagster: Path
    tokens: dict[str, str]  # token → tenant


def prepare_home(root: Path, dagster_yaml: Path = Path("dagster.yaml")) -> Home:
    """Create what is missing. Tokens are random and made once: there is nothing to leak."""
    dagster = (root / "dagster").resolve()
    dagster.mkdir(parents=True, exist_ok=True)
    copyfile(dagster_yaml, dagster / "dagster.yaml")
    return Home(root, dagster, {_token(root / "secrets" / tenant): tenant for tenant in TENANTS})


def _token(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / SECRET_NAME
    if not file.exists():
        file.write_text(token_hex(16))
        file.chmod(0o600)
    return file.read_text()
