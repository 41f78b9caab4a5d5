"""Messages as bytes and back, and names as parts of object keys."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.errors import DataError
from platform_assets.engine.inbox.model import (
    DeadLetter,
    Part,
    Routed,
    StoredMessage,
    decode_dead_letter,
    decode_part,
    distinct,
    encode_batch,
    encode_dead_letter,
    safe,
    unsafe,
)
from platform_assets.resources.object_store.keys import check_key

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
MESSAGES = st.builds(
    StoredMessage,
    id=TEXT,
    body=st.binary(max_size=50),
    attributes=st.dictionaries(TEXT, TEXT, max_size=3),
    published_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    ordering_key=st.none() | TEXT,
    order=TEXT,
    delivery=TEXT,
)


@given(st.lists(st.tuples(st.sampled_from(["b", "a", "c|d"]), MESSAGES), max_size=12))
def test_each_partition_reads_its_own_messages_back(items: list[tuple[str, StoredMessage]]) -> None:
    batch = encode_batch("b1", [Routed(partition, message) for partition, message in items])
    assert list(batch.parts) == sorted({partition for partition, _ in items})
    for partition, part in batch.parts.items():
        mine = [message for p, message in items if p == partition]
        assert decode_part(batch.body[part.offset : part.offset + part.length], "here") == mine
        assert part.count == len(mine)
        assert Part.parse(str(part)) == part
    assert sum(part.length for part in batch.parts.values()) == len(batch.body)


@given(MESSAGES)
def test_dead_letters_keep_everything(message: StoredMessage) -> None:
    letter = DeadLetter("orders", message, "because", 3, datetime(2026, 1, 31, tzinfo=UTC), "a|b")
    assert decode_dead_letter(encode_dead_letter(letter)) == letter


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=400))
def test_any_name_is_one_part_of_a_key(name: str) -> None:
    part = safe(name)
    assert "/" not in part
    check_key(f"inbox/{part}/x")
    assert len(part) == 165 or unsafe(part) == name


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert safe("x" * 300 + "1") != safe("x" * 300 + "2")


def test_the_first_delivery_of_each_in_consumer_order() -> None:
    a, b, again = (
        StoredMessage("a", b"1", order="2"),
        StoredMessage("b", b"2", order="1"),
        StoredMessage("a", b"3"),
    )
    replayed = StoredMessage("a", b"1", order="3", delivery="later")
    assert distinct([a, b, again, replayed]) == [b, a, replayed]


@pytest.mark.parametrize("data", [b"{\n", b"[]\n", b'{"id": 1}\n'])
def test_damaged_objects_are_named(data: bytes) -> None:
    with pytest.raises(DataError, match="batch 7 line 1"):
        decode_part(data, "batch 7")
    with pytest.raises(DataError):
        Part.parse("batch.1.2")
