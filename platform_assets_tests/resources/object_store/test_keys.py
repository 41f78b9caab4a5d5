import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.errors import DataError, RejectedError
from platform_assets.resources.object_store.keys import check_key, check_prefix
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.object_store.parts import parts_of

parts = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=5
)
keys = st.lists(parts.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=3).map("/".join)


@settings(max_examples=30, deadline=None)
@given(st.sets(keys, max_size=8), st.text("a/-.é", max_size=3), keys)
def test_a_listing_is_what_sorting_and_filtering_would_give(names: set[str], prefix: str, after: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = LocalObjectStore(LocalObjectStoreSettings(root=folder))
        kept = set()
        for name in sorted(names):
            try:
                store.put(name, name.encode())
                kept.add(name)
            except RejectedError:  # one key would be another's folder
                assert any(name.startswith(f"{other}/") or other.startswith(f"{name}/") for other in kept)
        assert [info.key for info in store.list("")] == sorted(kept)
        for name in kept:
            assert store.get(name) == name.encode()
            expected = sorted(other for other in kept if other.startswith(name[:2]) and other > after)
            assert [info.key for info in store.list(name[:2], start_after=after)] == expected
        try:
            found = [info.key for info in store.list(prefix)]
        except DataError:
            return
        assert found == sorted(other for other in kept if other.startswith(prefix))


@given(st.text())
def test_a_key_never_leaves_its_root(text: str) -> None:
    try:
        check_key(text)
    except DataError:
        return
    assert all(part not in {"", ".", ".."} for part in text.split("/"))
    assert "\x00" not in text
    check_prefix(text)


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/.", "..", "a/.."])
def test_prefixes_may_end_anywhere(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@given(st.lists(st.binary(max_size=20)), st.integers(1, 30))
def test_parts_are_of_one_size_and_lose_nothing(chunks: list[bytes], size: int) -> None:
    whole = b"".join(chunks)
    for cut in (list(parts_of(iter(chunks), size)), list(parts_of(whole, size))):
        assert b"".join(cut) == whole
        assert all(len(part) == size for part in cut[:-1])
        assert len(cut) == max(1, -(-len(whole) // size))
