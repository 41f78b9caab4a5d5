"""Delivery against a real webhook server and a real SMTP server, a real object store and a real warehouse.

Each test is one of the faults that the services before this one had, or one promise of docs/notifications.md.
"""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from platform_assets.assets.notifications.outbox import PENDING
from platform_assets.engine.errors import RetryableError
from platform_assets.engine.notifications.events import Event, Severity
from platform_assets.engine.notifications.message import Template
from platform_assets.engine.notifications.tenant import Notifications
from platform_assets_tests.assets.notifications.rig import (
    START,
    TENANT,
    Rig,
    Secrets,
    Slack,
    make_rig,
    occurrence,
    spec,
)
from platform_assets_tests.resources.notifier.test_smtp import Mailbox, OnFreePort


@pytest.fixture
def slack(httpserver: HTTPServer) -> Slack:
    return Slack(httpserver)


@pytest.fixture
def rig(tmp_path: Path, slack: Slack) -> Iterator[Rig]:
    made = make_rig(tmp_path, spec(slack.channel()))
    yield made
    made.warehouse.close()


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, dict[str, Any]]]:
    mailbox = Mailbox()
    controller = OnFreePort(mailbox)
    controller.start()
    channel = {
        "type": "email",
        "channel_id": "email",
        "smtp_host": "127.0.0.1",
        "smtp_port": controller.port,
        "smtp_use_tls": False,
        "from_email": "platform@example.com",
        "to_emails": ["team@example.com"],
        "subject_prefix": "[acme]",
    }
    yield mailbox, channel
    controller.stop()


# --- Cooldown -----------------------------------------------------------------------------------------------------


def test_what_happens_is_told_once_and_is_one_row(rig: Rig, slack: Slack) -> None:
    rig.happens(occurrence())
    rig.deliver()
    rig.deliver()
    assert slack.texts == ["ERROR: openai_costs failed"]
    (row,) = rig.history()
    assert (row["status"], row["event_type"], row["provider"]) == ("sent", "pipeline_failure", "slack")
    assert (row["pipeline_id"], row["pipeline_logging_id"]) == ("openai_costs", "run-1")
    assert (row["recipients"], row["retry_count"], row["sent_at"]) == (["#ops"], 0, START)
    assert row["cooldown_key"] == f"{TENANT}|pipeline_failure|slack|openai_costs"
    assert rig.waiting() == []


def test_the_same_happening_seen_twice_is_told_once_also_without_cooldown(rig: Rig, slack: Slack) -> None:
    rig.config = spec(slack.channel(), event_triggers=[{"event": "pipeline_failure", "cooldown_seconds": 0}])
    for _ in range(2):  # a status sensor that was killed looks at its run again
        rig.happens(occurrence())
        rig.deliver()
    assert len(slack.texts) == 1
    assert rig.statuses() == [("slack", "sent")]


def test_a_cooldown_suppresses_and_leaves_a_row_that_says_why(rig: Rig, slack: Slack) -> None:
    rig.happens(occurrence("run-1"))
    rig.deliver()
    rig.clock.move(299)
    rig.happens(occurrence("run-2"))
    rig.deliver()
    rig.clock.move(1)
    rig.happens(occurrence("run-3"))
    rig.deliver()
    assert len(slack.texts) == 2
    assert [row["status"] for row in rig.history()] == ["sent", "skipped", "sent"]
    assert "cooldown" in rig.history()[1]["reason"]


def test_the_cooldown_is_the_pipelines_own_and_the_tenants(rig: Rig, slack: Slack) -> None:
    rig.happens(
        occurrence("run-1"),
        occurrence("run-1", subject="other_costs", pipeline_id="other_costs", title="other_costs failed"),
        occurrence("run-1", event=Event.STEP_FAILURE, title="a step failed"),
        occurrence("run-1", tenant="globex"),
    )
    rig.deliver()
    assert len(slack.texts) == 4


def test_two_happenings_at_once_are_one_delivery_and_one_suppression(rig: Rig, slack: Slack) -> None:
    rig.happens(occurrence("run-1"), occurrence("run-2"))
    rig.deliver()
    assert len(slack.texts) == 1
    assert sorted(rig.statuses()) == [("slack", "sent"), ("slack", "skipped")]


def test_a_failed_delivery_starts_no_cooldown(rig: Rig, slack: Slack) -> None:
    slack.answers = [Response("no_service", status=404)]
    rig.happens(occurrence("run-1"))
    rig.deliver()
    rig.clock.move(1)
    rig.happens(occurrence("run-2"))
    rig.deliver()
    assert [row["status"] for row in rig.history()] == ["failed", "sent"]


def test_cooldown_survives_the_process(rig: Rig, slack: Slack, tmp_path: Path) -> None:
    rig.happens(occurrence("run-1"))
    rig.deliver()
    again = make_rig(tmp_path, rig.config)
    again.warehouse = rig.warehouse
    again.happens(occurrence("run-2"))
    again.deliver()
    assert len(slack.texts) == 1


# --- Two processes, dead processes, wrong clocks -------------------------------------------------------------------


def test_two_processes_at_once_deliver_once(rig: Rig, slack: Slack) -> None:
    """The old service's race: both look, neither sees the other, both send."""
    rig.happens(occurrence("run-1"), occurrence("run-2"))
    both_have_read = threading.Barrier(2, timeout=10)

    class Slow:
        def send(self, notification: Any) -> str:
            slow_sends.append(notification)
            return ""

    slow_sends: list[Any] = []
    rig.notifiers["slack"] = Slow()
    deliverers = [rig.process(), rig.process()]
    threads = [threading.Thread(target=lambda d=d: (both_have_read.wait(), d.deliver())) for d in deliverers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rig.deliver()
    assert len(slow_sends) == 1
    assert sorted(status for _, status in rig.statuses()) == ["sent", "skipped"]


def test_while_one_process_sends_another_waits_for_its_outcome(rig: Rig, slack: Slack) -> None:
    rig.happens(occurrence("run-1"))
    seen: list[str] = []

    def in_the_middle(name: str) -> None:
        if name == "claimed":
            seen.append(str(rig.process().deliver()))

    rig.process(in_the_middle).deliver()
    assert seen == ["0 sent, 0 failed, 0 skipped, 0 to be tried again"]
    assert len(slack.texts) == 1


class Killed(BaseException):
    """Stands for the end of the process: nothing after it runs."""


def killed_at(rig: Rig, point: str) -> None:
    def step(name: str) -> None:
        if name == point:
            raise Killed

    with pytest.raises(Killed):
        rig.process(step)._channel(*next(iter(rig.outbox.waiting().items()))[0], rig.waiting())


@pytest.mark.parametrize(
    ("point", "arrived"), [("claimed", 0), ("sent", 1)], ids=["before it was sent", "after it was sent"]
)
def test_a_process_killed_in_mid_delivery_neither_loses_nor_breaks_the_cooldown(
    rig: Rig, slack: Slack, point: str, arrived: int
) -> None:
    rig.happens(occurrence())
    killed_at(rig, point)
    rig.deliver()  # its claim still stands: it may be alive
    assert len(slack.texts) == arrived
    rig.clock.move(121)
    rig.deliver()  # it is dead; whether it had sent cannot be known, so the cooldown holds
    assert len(slack.texts) == arrived
    rig.clock.move(300 - 121)
    rig.deliver()
    assert len(slack.texts) == arrived + 1
    assert "may repeat" in str(slack.arrived[-1])
    assert rig.statuses() == [("slack", "sent")]
    assert rig.waiting() == []


@pytest.mark.parametrize("point", ["remembered", "recorded"])
def test_a_process_killed_before_the_history_is_written_has_told_it(
    rig: Rig, slack: Slack, point: str
) -> None:
    rig.happens(occurrence())
    killed_at(rig, point)
    rig.clock.move(1000)
    rig.deliver()
    assert len(slack.texts) == 1
    assert rig.statuses() == [("slack", "sent")]
    assert rig.waiting() == []


def test_a_sender_that_was_only_slow_is_not_repeated(rig: Rig, slack: Slack) -> None:
    rig.happens(occurrence())

    def sleeps_past_its_claim(name: str) -> None:
        if name == "sent":
            rig.clock.move(1000)
            rig.deliver()  # takes it for dead

    rig.process(sleeps_past_its_claim).deliver()
    rig.clock.move(1000)
    rig.deliver()
    assert rig.statuses() == [("slack", "sent")]


def test_a_clock_that_goes_back_suppresses_for_one_cooldown_only(rig: Rig, slack: Slack) -> None:
    rig.clock.move(365 * 86400)  # wrong by a year
    rig.happens(occurrence("run-1"))
    rig.deliver()
    rig.clock.at = START
    rig.happens(occurrence("run-2"))
    rig.deliver()
    assert len(slack.texts) == 1
    rig.clock.move(300)
    rig.happens(occurrence("run-3"))
    rig.deliver()
    assert len(slack.texts) == 2


@pytest.mark.parametrize("setting", [{"batch_window_seconds": 60}, {}])
def test_what_a_wrong_clock_wrote_does_not_wait_for_that_year(
    rig: Rig, slack: Slack, setting: dict[str, Any]
) -> None:
    rig.config = spec(slack.channel(), event_triggers=[{"event": "pipeline_failure", **setting}])
    rig.clock.move(365 * 86400)
    slack.answers = [Response("rollup_error", status=500)]
    rig.happens(occurrence("run-1"))
    rig.deliver()
    rig.clock.at = START
    rig.deliver()
    rig.clock.move(300)
    rig.deliver()
    assert len(slack.texts) == 1


# --- Errors -------------------------------------------------------------------------------------------------------


def test_transient_errors_are_tried_again_with_growing_pauses(rig: Rig, slack: Slack) -> None:
    slack.answers = [Response("rollup_error", status=500), Response("rollup_error", status=503)]
    rig.happens(occurrence())
    rig.deliver()
    rig.clock.move(4)
    rig.deliver()
    assert len(slack.answers) == 1, "not before five seconds"
    rig.clock.move(2.1)
    rig.deliver()
    assert slack.answers == []
    rig.clock.move(9)
    rig.deliver()
    assert slack.texts == []
    rig.clock.move(3.1)
    rig.deliver()
    assert len(slack.texts) == 1
    (row,) = rig.history()
    assert (row["status"], row["retry_count"]) == ("sent", 2)


def test_a_429s_own_wish_is_kept(rig: Rig, slack: Slack) -> None:
    slack.answers = [Response("slow down", status=429, headers={"Retry-After": "90"})]
    rig.happens(occurrence())
    rig.deliver()
    rig.clock.move(89)
    rig.deliver()
    assert slack.texts == []
    rig.clock.move(1)
    rig.deliver()
    assert len(slack.texts) == 1


def test_after_the_last_attempt_it_has_failed(rig: Rig, slack: Slack) -> None:
    slack.status = 500
    rig.happens(occurrence())
    for _ in range(6):
        rig.deliver()
        rig.clock.move(60)
    (row,) = rig.history()
    assert (row["status"], row["retry_count"]) == ("failed", 2)
    assert "HTTP 500" in row["error_message"]
    assert len(slack.server.log) == 3
    assert rig.waiting() == []


def test_when_the_first_has_failed_for_good_the_next_is_told(rig: Rig, slack: Slack) -> None:
    """Of several that share a cooldown one is told, if any of them can be."""
    slack.answers = [Response("rollup_error", status=500) for _ in range(3)]
    rig.happens(occurrence("run-1"), occurrence("run-2"))
    for _ in range(6):
        rig.deliver()
        rig.clock.move(60)
    assert sorted(status for _, status in rig.statuses()) == ["failed", "sent"]


def test_a_timeout_may_have_been_a_delivery_so_the_cooldown_holds(rig: Rig, slack: Slack) -> None:
    class Silent:
        def send(self, notification: Any) -> str:
            calls.append(rig.clock())
            if len(calls) == 1:
                raise RetryableError("slack: ReadTimeout", effect_unknown=True)
            return ""

    calls: list[Any] = []
    rig.notifiers["slack"] = Silent()
    rig.happens(occurrence())
    for _ in range(70):
        rig.deliver()
        rig.clock.move(5)
    assert [at - START for at in calls] == [timedelta(0), timedelta(seconds=300)]
    assert rig.statuses() == [("slack", "sent")]


def test_half_of_the_channels_down(rig: Rig, slack: Slack, mail: tuple[Mailbox, dict[str, Any]]) -> None:
    mailbox, channel = mail
    mailbox.answer = "550 no"
    rig.config = spec(slack.channel(), channel, {**channel, "channel_id": "nobody_there", "smtp_port": 1})
    rig.happens(occurrence())
    rig.deliver()
    assert len(slack.texts) == 1
    assert sorted(rig.statuses()) == [("email", "failed"), ("slack", "sent")]
    for _ in range(3):
        rig.clock.move(60)
        rig.deliver()
    assert dict(rig.statuses()) == {"email": "failed", "nobody_there": "failed", "slack": "sent"}


def test_smtp_refusing_for_now_and_for_good(rig: Rig, mail: tuple[Mailbox, dict[str, Any]]) -> None:
    mailbox, channel = mail
    rig.config = spec(channel)
    mailbox.answer = "451 greylisted"
    rig.happens(occurrence("run-1"))
    rig.deliver()
    assert rig.history() == []
    mailbox.answer = "250 OK"
    rig.clock.move(10)
    rig.deliver()
    (row,) = rig.history()
    assert (row["status"], row["retry_count"], row["recipients"]) == ("sent", 1, ["team@example.com"])
    mailbox.refuse = {"team@example.com": "550 who?"}
    rig.clock.move(301)
    rig.happens(occurrence("run-2"))
    rig.deliver()
    assert [r["status"] for r in rig.history()] == ["sent", "failed"]
    assert "550" in rig.history()[1]["error_message"]


def test_one_recipient_refused_is_a_delivery_to_the_others(
    rig: Rig, mail: tuple[Mailbox, dict[str, Any]]
) -> None:
    mailbox, channel = mail
    mailbox.refuse = {"gone@example.com": "550 who?"}
    rig.config = spec({**channel, "to_emails": ["team@example.com", "gone@example.com"]})
    rig.happens(occurrence("run-1"))
    rig.deliver()
    rig.happens(occurrence("run-2"))
    rig.deliver()
    assert len(mailbox.envelopes) == 1, "the cooldown holds for those who have it"
    (sent,) = [row for row in rig.history() if row["status"] == "sent"]
    assert "gone@example.com" in sent["error_message"]


def test_a_history_that_cannot_be_written_keeps_nobody_from_being_told(rig: Rig, slack: Slack) -> None:
    class Down:
        def __getattr__(self, name: str) -> Any:
            raise RetryableError("the warehouse is down")

    working, rig.warehouse = rig.warehouse, Down()  # type: ignore[assignment]
    for run in ("run-1", "run-2"):
        rig.happens(occurrence(run, subject=run))
        report = rig.process().deliver()
        assert "the warehouse is down" in report.errors[0]
    assert len(slack.texts) == 2
    rig.warehouse = working
    rig.deliver()
    assert rig.statuses() == [("slack", "sent")] * 2
    assert rig.waiting() == []


def test_a_job_that_nobody_can_read_stands_in_nobodys_way(rig: Rig, slack: Slack) -> None:
    rig.store.put(f"{PENDING}/{TENANT}/slack/20260101-bad.json", b"{not json")
    rig.happens(occurrence())
    rig.deliver()
    assert len(slack.texts) == 1
    assert rig.waiting() == []
    assert rig.store.get(f"notifications/dead_letter/{TENANT}/slack/20260101-bad.json") == b"{not json"


# --- Quiet hours, batches, escalation ---------------------------------------------------------------------------------


def test_quiet_hours_hold_everything_but_what_is_critical(rig: Rig, slack: Slack) -> None:
    """In New York it is 7 in the morning, quiet until 8."""
    rig.config = spec(
        slack.channel(mention_users=["U12345"]),
        quiet_hours={"start": "22:00", "end": "08:00", "timezone": "America/New_York"},
    )
    rig.happens(occurrence("run-1"), occurrence("run-2", event=Event.SYSTEM_ERROR, title="died"))
    rig.deliver()
    assert slack.texts == ["<@U12345> CRITICAL: died"]
    rig.clock.move(3600)
    rig.deliver()
    assert slack.texts[1:] == ["ERROR: openai_costs failed"], "held, not lost; and nobody is mentioned"


def test_a_batch_is_one_message_and_one_row(rig: Rig, slack: Slack) -> None:
    rig.config = spec(
        slack.channel(), event_triggers=[{"event": "pipeline_failure", "batch_window_seconds": 120}]
    )
    for number in range(3):
        rig.happens(
            occurrence(f"run-{number}", subject=f"pipeline_{number}", title=f"pipeline_{number} failed")
        )
        rig.deliver()
        rig.clock.move(30)
    assert slack.texts == []
    rig.clock.move(30)
    rig.deliver()
    (message,) = slack.arrived
    assert all(f"pipeline_{number} failed" in str(message) for number in range(3))
    (row,) = rig.history()
    assert row["status"] == "sent" and row["trigger_data"].count("pipeline_") == 6
    rig.happens(occurrence("run-9", subject="pipeline_1"))
    rig.deliver()
    assert rig.history()[-1]["status"] == "skipped", "each pipeline of the batch has its own cooldown"


@pytest.mark.parametrize("acknowledged", [True, False])
def test_what_nobody_acknowledges_is_escalated(rig: Rig, slack: Slack, acknowledged: bool) -> None:
    rig.config = spec(
        slack.channel(),
        slack.channel(channel_id="boss", channel="#boss"),
        event_triggers=[{"event": "pipeline_failure", "escalate_after_minutes": 30, "escalate_to": ["boss"]}],
    )
    rig.happens(occurrence())
    rig.deliver()
    assert [m["channel"] for m in slack.arrived] == ["#ops"]
    name = rig.history()[0]["notification_id"]
    if acknowledged:
        rig.outbox.acknowledge(TENANT, name, "ana", rig.clock())
        assert rig.log.acknowledge(TENANT, name, "ana", rig.clock())
    rig.clock.move(29 * 60)
    rig.deliver()
    assert len(slack.arrived) == 1
    rig.clock.move(60)
    rig.deliver()
    rows = {row["channel_id"]: row for row in rig.history()}
    if acknowledged:
        assert rows["boss"]["reason"] == "acknowledged" and len(slack.arrived) == 1
        assert rows["slack"]["acknowledged_by"] == "ana" and not rows["slack"]["escalated"]
    else:
        assert slack.arrived[1]["channel"] == "#boss"
        assert rows["slack"]["escalated"] and rows["slack"]["escalated_at"] == rig.clock()
    assert len(rig.history()) == 2


# --- Configuration ----------------------------------------------------------------------------------------------------


def test_what_is_switched_off_while_it_waits_is_not_told_and_says_so(rig: Rig, slack: Slack) -> None:
    rig.happens(occurrence())
    rig.config = spec(slack.channel(), enabled=False)
    rig.deliver()
    assert slack.texts == []
    assert rig.history()[0]["reason"] == "notifications are disabled"


def test_what_waits_for_a_tenant_that_is_gone_makes_no_tables(rig: Rig, slack: Slack) -> None:
    rig.happens(occurrence(tenant="globex"))
    replace(rig.process(), notifications=Notifications({TENANT: rig.config})).deliver()
    assert slack.texts == [] and rig.waiting() == []
    assert rig.warehouse.describe("globex", rig.log.table.name) is None


def test_events_that_are_off_leave_nothing(rig: Rig, slack: Slack) -> None:
    rig.happens(occurrence(event=Event.PIPELINE_SUCCESS), occurrence(event=Event.PIPELINE_STARTED))
    rig.deliver()
    assert slack.texts == [] and rig.history() == []


def test_mail_is_multipart_and_what_others_say_is_no_markup(
    rig: Rig, mail: tuple[Mailbox, dict[str, Any]]
) -> None:
    mailbox, channel = mail
    rig.config = spec(channel)
    rig.happens(occurrence(message="<script>alert(1)</script> & more", details={"Table": "<b>raw</b>"}))
    rig.deliver()
    letter = mailbox.letter()
    assert letter["Subject"] == "[acme] ERROR: openai_costs failed"
    plain, html = (letter.get_body((kind,)).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
    assert "<script>alert(1)</script> & more" in plain
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in html and "<script>" not in html
    assert "&lt;b&gt;raw&lt;/b&gt;" in html
    for text in (plain, html):
        assert all(
            word in text for word in ("pipeline_failure", TENANT, "openai_costs", "run-1", "2026-11-28 12:00")
        )


def test_a_named_template_is_used(rig: Rig, mail: tuple[Mailbox, dict[str, Any]]) -> None:
    mailbox, channel = mail
    rig.templates = {"short": Template(html="<p>{{ tenant }}: {{ message }}</p>")}
    rig.config = spec(channel, event_triggers=[{"event": "pipeline_failure", "template": "short"}])
    rig.happens(occurrence(message="<i>"))
    rig.deliver()
    html = message_from_bytes(mailbox.envelopes[0].content, policy=policy.default).get_body(("html",))
    assert f"<p>{TENANT}: &lt;i&gt;</p>" in html.get_content()  # type: ignore[union-attr]


def test_secrets_come_from_the_store_and_are_in_no_object_row_or_log(
    rig: Rig, slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    channel = slack.channel()
    rig.secrets = Secrets(hook=channel.pop("webhook_url"))
    rig.config = spec({**channel, "webhook_secret": "hook"})
    slack.answers = [Response("rollup_error", status=500)]
    rig.happens(occurrence())
    for _ in range(2):
        rig.deliver()
        rig.clock.move(10)
    assert len(slack.texts) == 1
    kept = "".join(path.read_text() for path in (rig.folder / "objects").rglob("*.json"))
    logged = "".join(str(r.msg) + str(r.args) for r in caplog.records if r.name != "werkzeug")
    assert "hook-under-test" not in kept + str(rig.history()) + logged + repr(rig.config)


def test_severity_of_the_occurrence_wins_over_the_triggers(rig: Rig, slack: Slack) -> None:
    rig.config = spec(
        slack.channel(),
        event_triggers=[{"event": "cost_threshold", "severity": "info", "cooldown_seconds": 0}],
    )
    rig.happens(
        occurrence("1", event=Event.COST_THRESHOLD, title="a"),
        occurrence("2", event=Event.COST_THRESHOLD, title="b", severity=Severity.CRITICAL),
    )
    rig.deliver()
    assert sorted(slack.texts) == ["CRITICAL: b", "INFO: a"]
