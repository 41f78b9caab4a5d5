import json
from pathlib import Path

from platform_assets.ports import OutboundMessage
from platform_assets.resources.queue.local import LocalQueue, LocalQueueSettings
from platform_assets.resources.topic.local import LocalTopic, LocalTopicSettings


def topic(folder: Path, *subscriptions: str) -> LocalTopic:
    return LocalTopic(
        LocalTopicSettings(
            root=str(folder / "topic"), subscriptions=tuple(str(folder / name) for name in subscriptions)
        )
    )


def test_what_was_published_can_be_read(tmp_path: Path) -> None:
    published = topic(tmp_path)
    ids = published.publish(
        [OutboundMessage(b'{"type": "a"}', {"type": "a"}, "g", "d"), OutboundMessage(b"\xff")]
    )
    first, second = map(json.loads, published.published())
    assert (first["id"], first["body"], first["ordering_key"]) == (ids[0], '{"type": "a"}', "g")
    assert (second["id"], second["body_base64"]) == (ids[1], "/w==")
    published.publish([OutboundMessage(b"later")])
    assert [json.loads(line)["id"] for line in published.published()][:2] == list(ids)


def test_every_subscription_gets_every_message(tmp_path: Path) -> None:
    topic(tmp_path, "one", "two").publish([OutboundMessage(b"a"), OutboundMessage(b"b")])
    for name in ("one", "two"):
        messages = LocalQueue(LocalQueueSettings(root=str(tmp_path / name))).pull(10)
        assert [message.body for message in messages] == [b"a", b"b"]
