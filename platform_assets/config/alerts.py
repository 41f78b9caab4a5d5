"""``alerts/*.yml``: each file by itself, then against the tables, tenants and channels that it names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from platform_assets.config.checks import Owner
from platform_assets.config.document import Document, Location
from platform_assets.config.reading import nearest, one_of
from platform_assets.engine.errors import Problem
from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.alert import Alert
from platform_assets.engine.notifications.alerts.conditions import Condition, Conditions, typed
from platform_assets.engine.notifications.alerts.data_freshness import DataFreshness
from platform_assets.engine.notifications.alerts.spec import AlertSpec
from platform_assets.engine.notifications.tenant import Notifications
from platform_assets.engine.schema.model import Field, FieldType, Mode

_DECIMALS = (FieldType.NUMERIC, FieldType.BIGNUMERIC)
_CURRENCY = "BillingCurrency"
_UNITS = ("number", "percent")


class AlertCheck:
    """One alert against all that it refers to. ``problems`` are complete once ``resolved`` was asked for."""

    def __init__(
        self,
        document: Document,
        spec: AlertSpec,
        owners: Mapping[TableName, Owner],
        tenants: Iterable[str],
        notifications: Notifications,
    ) -> None:
        self._document, self._spec = document, spec
        self._owners, self._tenants, self._notifications = owners, sorted(tenants), notifications
        self.problems: list[Problem] = []

    def resolved(self) -> Alert:
        self.problems += [*self._unknown_tenants(), *self._unknown_channels(), *self._unknown_tables()]
        rule = self._spec.rule
        if not isinstance(rule, Conditions):
            return Alert(self._spec)
        owner = self._owner(rule.table)
        if owner is None:
            return Alert(self._spec)
        if getattr(owner.draft.spec.steps[owner.index], "grain", "day") != "day":
            self._problem(("rule", "table"), f"{rule.table} is filled by month; alerts look at days")
        pairs = [self._condition(owner, i, c) for i, c in enumerate(rule.conditions)]
        return Alert(self._spec, tuple(value for value, _ in pairs), tuple(money for _, money in pairs))

    # --- Names ------------------------------------------------------------------------------------------------------

    def _unknown_tenants(self) -> Iterator[Problem]:
        named = [] if self._spec.tenants == "all" else self._spec.tenants
        for index, name in enumerate(named):
            if name not in self._tenants:
                reason = f"there is no tenant {name!r}"
                yield self._document.problem(("tenants", index), reason, nearest(name, self._tenants))

    def _unknown_channels(self) -> Iterator[Problem]:
        """A channel must be one of somebody's: of which tenant's, the tenants' own files decide."""
        known = {c.channel_id for spec in self._notifications.tenants.values() for c in spec.channels}
        named = self._spec.notification.channels
        for index, name in enumerate([] if named is None or isinstance(named, str) else named):
            if name not in known:
                reason = f"no notification file has a channel {name!r}; known: {one_of(known) or 'none'}"
                yield self._document.problem(
                    ("notification", "channels", index), reason, nearest(name, known)
                )

    def _unknown_tables(self) -> Iterator[Problem]:
        rule = self._spec.rule
        tables = {str(name) for name in self._owners}
        named: list[tuple[Location, str]] = []
        if isinstance(rule, Conditions):
            named = [(("rule", "table"), rule.table)]
        elif isinstance(rule, DataFreshness):
            named = [(("rule", "tables", index), name) for index, name in enumerate(rule.tables)]
        for at, name in named:
            if name not in tables:
                yield self._document.problem(at, f"no step fills {name!r}", nearest(name, tables))

    def _owner(self, table: str) -> Owner | None:
        return next((owner for name, owner in self._owners.items() if str(name) == table), None)

    # --- Conditions -------------------------------------------------------------------------------------------------

    def _condition(self, owner: Owner, index: int, condition: Condition) -> tuple[Any, str | None]:
        """(the value as the column's type has it, the column of its currency)."""
        at: Location = ("rule", "conditions", index)
        column = owner.table.schema.get(condition.field)
        if column is None:
            names = owner.table.schema.names
            self._problem(
                (*at, "field"),
                f"{owner.table.name} has no column {condition.field!r}",
                nearest(condition.field, names),
            )
            return None, None
        try:
            value = typed(condition, column.type, column.mode is Mode.REPEATED)
        except ValueError as error:
            self._problem((*at, "value"), f"does not fit {column.name} ({column.type}): {error}")
            return None, None
        return value, self._currency(owner, at, condition, column)

    def _currency(self, owner: Owner, at: Location, condition: Condition, column: Field) -> str | None:
        """Decimals of a table with a currency are money, unless the condition says that this one is not."""
        money = _currency_column(owner, column) if column.type in _DECIMALS else None
        if condition.unit is None and money:
            reason = f"is missing: {column.name} is compared in a currency; of other decimals write number or percent"
            self._problem((*at, "unit"), reason)
        if condition.unit and condition.unit not in _UNITS and not money:
            self._problem((*at, "unit"), f"{column.name} is no amount of money with a currency beside it")
        return money if condition.unit and condition.unit not in _UNITS else None

    def _problem(self, at: Location, reason: str, hint: str | None = None) -> None:
        self.problems.append(self._document.problem(at, reason, hint))


def _currency_column(owner: Owner, column: Field) -> str | None:
    """The measure's own, else the table's billing currency."""
    destination = getattr(owner.draft.spec.steps[owner.index], "destination", None)
    measure = destination.measure if destination else None
    if measure and measure.currency and measure.column == column.name:
        return str(measure.currency)
    return _CURRENCY if owner.table.schema.get(_CURRENCY) else (measure.currency if measure else None)
