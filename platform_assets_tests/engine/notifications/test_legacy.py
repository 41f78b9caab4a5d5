"""Both shapes that notification files had before."""

from typing import Any

from platform_assets.engine.notifications.legacy import translate
from platform_assets.engine.notifications.spec import NotificationsSpec

# The README's own example (service C).
README: dict[str, Any] = {
    "enabled": True,
    "timeout_seconds": 30,
    "email_config": {"smtp_host": "smtp.gmail.com", "smtp_port": 587, "use_tls": True},
    "slack_config": {"default_channel": "#alerts"},
    "event_triggers": {
        "PIPELINE_FAILURE": {"enabled": True, "providers": ["email", "slack"], "cooldown_seconds": 300}
    },
    "retry_config": {
        "max_attempts": 3,
        "initial_delay_seconds": 1,
        "max_delay_seconds": 30,
        "exponential_backoff": True,
    },
}
CODE: dict[str, Any] = {
    "email": {"smtp_host": "mail.example.com", "from_email": "a@example.com", "to_emails": ["b@example.com"]},
    "slack": {"webhook_url": "${HOOK}", "mention_users": ["U12345"]},
    "event_triggers": [
        {"event": "pipeline_failure", "enabled": True, "severity": "error", "providers": "both"},
        {"event": "system_error", "providers": "slack", "cooldown_seconds": 180},
    ],
}


def test_the_readmes_shape() -> None:
    made = translate(README)
    mail, slack = made.value["channels"]
    assert mail["smtp_use_tls"] is True and mail["to_emails"] == ["${DEFAULT_ADMIN_EMAIL}"]
    assert mail["password"] == "${SMTP_PASSWORD}"
    assert slack["channel"] == "#alerts" and slack["webhook_url"] == "${SLACK_WEBHOOK_URL}"
    (trigger,) = made.value["event_triggers"]
    assert trigger == {
        "event": "pipeline_failure",
        "enabled": True,
        "channels": ["email", "slack"],
        "cooldown_seconds": 300,
    }
    assert made.origin(("channels", 1, "channel")) == ("slack_config", "default_channel")
    assert made.origin(("event_triggers", 0, "channels", 1)) == (
        "event_triggers",
        "PIPELINE_FAILURE",
        "providers",
        1,
    )
    assert any("email_config" in note for note in made.notes)
    assert any("PIPELINE_FAILURE" in note for note in made.notes)


def test_the_codes_shape_is_a_configuration() -> None:
    spec = NotificationsSpec.model_validate(translate(CODE).value)
    assert [c.channel_id for c in spec.channels] == ["email", "slack"]
    failure, system = spec.event_triggers or ()
    assert spec.chosen(failure.channels) == ("email", "slack")
    assert spec.chosen(system.channels) == ("slack",)
    assert (spec.retry_config.max_attempts, spec.retry_config.initial_delay_seconds) == (3, 5)


def test_our_own_shape_is_left_alone() -> None:
    ours = {"channels": [{"type": "slack"}], "event_triggers": [{"event": "system_error"}], "enabled": False}
    made = translate(ours)
    assert (made.value, made.notes) == (ours, [])


def test_what_is_no_mapping_is_left_for_the_model_to_refuse() -> None:
    for value in (None, [], "text", {"event_triggers": 3, "email": "x", "channels": "y"}):
        assert translate(value).value == value
