"""What the process is told from outside."""

from pathlib import Path

import pytest

from platform_assets.engine.errors import ConfigError
from platform_assets.settings import read_settings


def test_defaults() -> None:
    settings = read_settings({})
    assert (settings.deployment, settings.platform_home, settings.cell) == ("local", Path(".platform"), None)
    assert (settings.config_root / "tenants").is_dir()


def test_everything_can_be_said(tmp_path: Path) -> None:
    settings = read_settings(
        {
            "PLATFORM_CONFIG_ROOT": str(tmp_path),
            "PLATFORM_DEPLOYMENT": "prod",
            "PLATFORM_HOME": "/data",
            "PLATFORM_CELL": "eu-1",
        }
    )
    assert settings.config_root == tmp_path
    assert (settings.deployment, settings.platform_home, settings.cell) == ("prod", Path("/data"), "eu-1")


def test_empty_is_unset() -> None:
    assert read_settings(
        {"PLATFORM_DEPLOYMENT": "", "PLATFORM_CELL": "", "PLATFORM_HOME": ""}
    ) == read_settings({"PLATFORM_DEPLOYMENT": "", "PLATFORM_CELL": "", "PLATFORM_HOME": ""})
    assert read_settings({"PLATFORM_DEPLOYMENT": ""}).deployment == "local"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"PLATFORM_CONFIG_ROOT=.*no such folder"):
        read_settings({"PLATFORM_CONFIG_ROOT": str(tmp_path / "no")})


def test_away_from_the_repository_the_configuration_beside_the_package_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (read_settings({}).config_root / "deployments" / "local.yml").is_file()


def test_the_environment_never_shows_itself_and_never_changes() -> None:
    given = {"SOME_PASSWORD": "value-under-test"}
    settings = read_settings(given)
    assert "value-under-test" not in repr(settings)
    given["SOME_PASSWORD"] = "other"
    assert settings.environment["SOME_PASSWORD"] == "value-under-test"
    with pytest.raises(TypeError):
        settings.environment["X"] = "y"  # type: ignore[index]
