"""Secrets from variables and files: one tenant never gets another's, and no error shows a value."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.errors import DataError, NotFoundError, RejectedError
from platform_assets.engine.names import TENANT_PATTERN
from platform_assets.resources.secrets.environment import (
    EnvironmentSecretsSettings,
    EnvironmentSecretStore,
    variable_name,
)

VALUE = "value-under-test"


def store(folder: Path | None = None, **environment: str) -> EnvironmentSecretStore:
    settings = EnvironmentSecretsSettings(folder=str(folder) if folder else None)
    return EnvironmentSecretStore(settings, environment)


def write(folder: Path, name: str, text: str = VALUE) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_variable() -> None:
    keeper = store(PLATFORM_SECRET__ACME1281__OPENAI_ADMIN_KEY=VALUE)
    assert keeper.get("acme1281", "openai_admin_key").reveal() == VALUE
    assert keeper.get("acme1281", "openai-admin-key").reveal() == VALUE


@pytest.mark.parametrize("file", ["key", "key.txt"])
def test_a_file(tmp_path: Path, file: str) -> None:
    write(tmp_path, f"acme1281/{file}", f"{VALUE}\n")
    assert store(tmp_path).get("acme1281", "key").reveal() == VALUE


def test_a_variable_wins_over_a_file_and_an_empty_one_does_not(tmp_path: Path) -> None:
    write(tmp_path, "acme1281/key", "file")
    assert store(tmp_path, PLATFORM_SECRET__ACME1281__KEY=VALUE).get("acme1281", "key").reveal() == VALUE
    assert store(tmp_path, PLATFORM_SECRET__ACME1281__KEY="").get("acme1281", "key").reveal() == "file"


def test_a_rotated_file_is_used_at_once(tmp_path: Path) -> None:
    keeper = store(tmp_path)
    for value in ("one", "two"):
        write(tmp_path, "acme1281/key", value)
        assert keeper.get("acme1281", "key").reveal() == value


def test_what_is_missing_is_named_with_its_places(tmp_path: Path) -> None:
    with pytest.raises(
        NotFoundError, match=r"no secret 'key'.*PLATFORM_SECRET__ACME1281__KEY and file .*acme1281/key"
    ):
        store(tmp_path).get("acme1281", "key")
    with pytest.raises(NotFoundError, match=r"PLATFORM_SECRET__ACME1281__KEY$"):
        store().get("acme1281", "key")


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "acme1281/key", "\n")
    with pytest.raises(DataError, match="is empty"):
        store(tmp_path).get("acme1281", "key")


def test_bytes_that_are_no_text_are_an_error_without_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "acme1281").mkdir()
    (tmp_path / "acme1281" / "key").write_bytes(b"\xff" + VALUE.encode())
    with pytest.raises(DataError, match="not UTF-8") as caught:
        store(tmp_path).get("acme1281", "key")
    assert VALUE not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("tenant", "name"),
    [
        ("acme1281", "../globex/key"),
        ("acme1281", "a/b"),
        ("..", "key"),
        ("acme1281", ""),
        ("ACME", "key"),
        ("acme1281", ".hidden"),
    ],
)
def test_names_that_reach_elsewhere_are_refused(tmp_path: Path, tenant: str, name: str) -> None:
    write(tmp_path, "globex/key")
    with pytest.raises(RejectedError):
        store(tmp_path).get(tenant, name)


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
TENANTS = st.from_regex(TENANT_PATTERN, fullmatch=True).map(lambda text: text[:9])


@given(TENANTS, NAMES, TENANTS, NAMES)
def test_no_two_tenants_share_a_variable(tenant: str, name: str, other: str, others_name: str) -> None:
    if tenant != other:
        mine = variable_name(tenant, name)
        assert mine is None or mine != variable_name(other, others_name)


def test_an_ambiguous_name_is_looked_for_in_files_only(tmp_path: Path) -> None:
    write(tmp_path, "acme__x/key")
    assert store(tmp_path, PLATFORM_SECRET__ACME__X__KEY="other").get("acme__x", "key").reveal() == VALUE
    with pytest.raises(NotFoundError, match="ambiguous"):
        store(PLATFORM_SECRET__ACME__X__KEY="other").get("acme__x", "key")


def test_a_store_never_shows_a_secret() -> None:
    keeper = store(PLATFORM_SECRET__ACME1281__KEY=VALUE)
    assert VALUE not in f"{keeper!r} {vars(keeper)} {keeper.get('acme1281', 'key')!r}"
