"""Secrets in plain text and URLs that lead where no source lives."""

import pytest

from platform_assets.config.document import Document
from platform_assets.config.safety import find_unsafe, unsafe_url

SAFE = [
    "https://api.openai.com/v1",
    "http://127.0.0.1:8765",
    "http://localhost:9000/x",
    "http://[::1]:80/",
    "https://10.0.0.5/internal",
    "https://xn--bcher-kva.example",
]
UNSAFE = [
    ("http://api.openai.com", "plain text"),
    ("http://10.0.0.5", "plain text"),
    ("https://user@api.example", "user name"),
    ("https://user:pw@api.example", "user name"),
    ("https://:@api.example", "user name"),
    ("https://169.254.169.254/latest", "metadata"),
    ("https://[fe80::1]/", "metadata"),
    ("https://[::ffff:169.254.169.254]/", "metadata"),
    ("https://[fd00:ec2::254]/", "metadata"),
    ("https://0xA9FEA9FE/", "metadata"),
    ("https://2852039166/", "metadata"),
    ("https://0251.0376.0251.0376/", "metadata"),
    ("https://169.16689662/", "metadata"),
    ("https://0.0.0.0/", "metadata"),
    ("https://224.0.0.1/", "metadata"),
    ("https://metadata.google.internal/x", "metadata"),
    ("https://METADATA.google.internal./x", "metadata"),
    ("https://api.example\\@evil.example/", "not a URL"),
    ("https://api.example /", "not a URL"),
    ("https://", "not a URL"),
    ("https://a:99999/", "not a URL"),
    ("https://[::1", "not a URL"),
]


@pytest.mark.parametrize("url", SAFE)
def test_safe(url: str) -> None:
    assert unsafe_url(url) is None


@pytest.mark.parametrize(("url", "reason"), UNSAFE)
def test_unsafe(url: str, reason: str) -> None:
    assert reason in (unsafe_url(url) or "safe")


def told(value: object) -> list[str]:
    return [problem.field for problem in find_unsafe(Document("a.yml", value, {}))]


LOOKS = [
    "sk-" + "a" * 24,
    "sk_live_" + "a" * 24,
    "AKIA" + "A" * 16,
    "AIza" + "b" * 35,
    "ghp_" + "c" * 36,
    "xoxb-" + "1" * 12,
    "https://hooks.slack.com/" + "services/T/B/x",
    "eyJ" + "d" * 12 + "." + "e" * 12 + ".f",
    "Bearer " + "f" * 20,
    "-----BEGIN RSA " + "PRIVATE KEY-----",
]


@pytest.mark.parametrize("text", LOOKS, ids=range(len(LOOKS)))
def test_a_secret_is_known_by_its_look(text: str) -> None:
    assert told({"note": [text]}) == ["note[0]"]


@pytest.mark.parametrize(
    "key", ["password", "api_key", "X-Api-Key", "db_password", "Authorization", "client_secret", "token"]
)
def test_a_secret_is_known_by_its_key(key: str) -> None:
    assert told({"settings": {key: "x"}}) == [f"settings.{key}"]


@pytest.mark.parametrize(
    "value",
    [
        {"password": "${DB_PASSWORD}"},
        {"token": "{{ parameters.region }}"},
        {"token_path": "next_page", "token_url": "https://login.example/token"},
        {"page_token": "x"},
        {"secret": "openai_admin_key"},
        {"description": "the password is in the store"},
        {"auth": {"type": "bearer"}},
        {"id": "sk-short"},
    ],
)
def test_what_is_no_secret(value: object) -> None:
    assert told(value) == []


def test_a_default_in_a_placeholder_is_seen() -> None:
    assert told({"note": "${KEY:-" + LOOKS[0] + "}"}) == ["note"]
