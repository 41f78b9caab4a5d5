"""An alert whose rule has been checked against the table that it looks at, and what a finding of it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.money import NO_RATES, Rates
from platform_assets.engine.notifications.alerts.rule import Answer, Findings, Found, Moment, Question, Row
from platform_assets.engine.notifications.alerts.spec import AlertSpec, Rule
from platform_assets.engine.notifications.occurrence import Occurrence
from platform_assets.engine.notifications.spec import NotificationsSpec

MOST_SHOWN = 20


@dataclass(frozen=True)
class Alert:
    """``wanted`` and ``currencies``: of a ``conditions`` rule, by condition (``rule.Answer``)."""

    spec: AlertSpec
    wanted: tuple[Any, ...] = ()
    currencies: tuple[str | None, ...] = ()

    @property
    def id(self) -> str:
        return self.spec.alert_id

    @property
    def table(self) -> TableName:
        return self.spec.rule.looks_at()

    @property
    def on_gold(self) -> bool:
        """Whether it looks at a tenant's day of a table, and is shown as a check of that table."""
        return self.spec.rule.on_gold

    @property
    def check_name(self) -> str:
        return f"alert_{self.id}"

    @property
    def needs_rates(self) -> bool:
        return any(self.currencies) or getattr(self.spec.rule, "currency", None) is not None

    def question(self, day: date, now: datetime) -> Question:
        """What to ask for one tenant and day."""
        return self.spec.rule.question(Moment(day, now, self.currencies))

    def judged(self, rows: Sequence[Row], day: date, now: datetime, rates: Rates = NO_RATES) -> Findings:
        """What the answer to the question means."""
        return evaluate(self.spec.rule, Answer(rows, day, now, rates, self.wanted, self.currencies))


def evaluate(rule: Rule, answer: Answer) -> Findings:
    """The findings of one rule for one tenant and day."""
    found = Found()
    rule.judge(answer, found)
    return Findings(tuple(found.matches), tuple(dict.fromkeys(found.unjudged)), len(answer.rows))


@dataclass(frozen=True)
class AlertResult:
    """One alert for one tenant and day. ``status``: triggered, no_match, no_data or error."""

    alert: Alert
    tenant: str
    day: date
    status: str
    findings: Findings = field(default_factory=Findings)
    error: str = ""

    @property
    def triggered(self) -> bool:
        return self.status == "triggered"

    def __str__(self) -> str:
        lines = (*self.findings.matches, *(f"not judged: {u}" for u in self.findings.unjudged))
        told = "".join(f"\n  {line}" for line in (*lines[:MOST_SHOWN], *([self.error] if self.error else [])))
        return f"{self.alert.id} {self.tenant} {self.day}: {self.status}{told}"


def alert_occurrence(result: AlertResult, at: datetime, config: NotificationsSpec) -> Occurrence:
    """What a triggered alert says: the same for the same tenant, alert and day, however often it is evaluated. A rule
    about runs has no day of its own: it is the same within the hour."""
    alert, spec = result.alert, result.alert.spec
    moment = str(result.day) if alert.on_gold else f"{at:%Y-%m-%dT%H}"
    own = () if spec.notification.channels is None else config.chosen(spec.notification.channels)
    matches = result.findings.matches
    more = f"\n… and {len(matches) - MOST_SHOWN} more" if len(matches) > MOST_SHOWN else ""
    return Occurrence(
        key=f"{alert.id}:{moment}",
        tenant=result.tenant,
        event=spec.event,
        title=spec.name,
        message="\n".join(matches[:MOST_SHOWN]) + more,
        at=at,
        subject=alert.id,
        severity=spec.notification.severity,
        rule_id=alert.id,
        details={"Day": str(result.day), "Rule": spec.rule.type},
        channels=own,
        cooldown_seconds=spec.cooldown.seconds,
    )
