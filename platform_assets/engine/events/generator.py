"""Made-up events of the three declared types, as an online shop would send them: for trying out, tests and load.

The same seed and times give the same events. Values are drawn uniformly. ``bad_rate`` of the events cannot be taken
(no JSON, no type, wrong values), ``late_rate`` of them happened one to seven days ago.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

Event = dict[str, Any]

_PRODUCTS = (
    ("prod-001", "Wireless Headphones", "99.99"),
    ("prod-002", "Smart Watch", "249.99"),
    ("prod-003", "Laptop Stand", "49.99"),
    ("prod-004", "Mechanical Keyboard", "129.99"),
    ("prod-005", "USB-C Hub", "39.99"),
    ("prod-006", "Webcam", "79.99"),
    ("prod-007", "Desk Lamp", "34.99"),
    ("prod-008", "Phone Case", "24.99"),
    ("prod-009", "Tablet", "499.99"),
    ("prod-010", "Laptop", "999.99"),
)
_CITIES = (
    "New York", "London", "Berlin", "Paris", "Tokyo", "Sydney", "Toronto", "San Francisco", "Chicago", "Madrid",
)  # fmt: skip
_COUNTRIES = ("US", "GB", "DE", "FR", "JP", "AU", "CA")
_STREETS = ("Main St", "Oak Ave", "High St", "Park Rd", "Station Rd")
_STATUSES = ("pending", "processing", "shipped", "delivered")
_WAREHOUSES = ("wh-us-east", "wh-us-west", "wh-us-central", "wh-eu-west", "wh-asia-pacific")
_REASONS = {"restock": (10, 100), "sale": (-50, -1), "return": (1, 20), "damage": (-10, -1)}
_ACTIVITIES = ("login", "logout", "view_product", "add_to_cart", "remove_from_cart")
_PLATFORMS = ("web", "mobile", "tablet")
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/132.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7) Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148",
)


def _hex(random: Random, digits: int) -> str:
    return f"{random.getrandbits(4 * digits):0{digits}x}"


def _moment(random: Random, now: datetime, minutes: int) -> str:
    at = now - timedelta(seconds=random.uniform(0, minutes * 60))
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _order(random: Random, now: datetime) -> Event:
    bought = [(*product, random.randint(1, 3)) for product in random.sample(_PRODUCTS, random.randint(1, 3))]
    total = sum((Decimal(price) * count for _, _, price, count in bought), Decimal())
    return {
        "event_type": "order",
        "order_id": f"ord-{_hex(random, 8)}",
        "customer_id": f"customer-{random.randint(1, 100):03d}",
        "order_date": _moment(random, now, 60),
        "status": random.choice(_STATUSES),
        "items": [
            {"product_id": id_, "product_name": name, "quantity": count, "price": float(price)}
            for id_, name, price, count in bought
        ],
        "shipping_address": {
            "street": f"{random.randint(1, 999)} {random.choice(_STREETS)}",
            "city": random.choice(_CITIES),
            "country": random.choice(_COUNTRIES),
        },
        "total_amount": float(total),
    }


def _inventory(random: Random, now: datetime) -> Event:
    reason = random.choice(tuple(_REASONS))
    return {
        "event_type": "inventory",
        "inventory_id": f"inv-{_hex(random, 8)}",
        "product_id": random.choice(_PRODUCTS)[0],
        "warehouse_id": random.choice(_WAREHOUSES),
        "quantity_change": random.randint(*_REASONS[reason]),
        "reason": reason,
        "timestamp": _moment(random, now, 30),
    }


def _user_activity(random: Random, now: datetime) -> Event:
    network = f"{random.randint(192, 203)}.{random.randint(0, 255)}.{random.randint(0, 255)}"
    return {
        "event_type": "user_activity",
        "user_id": f"user-{random.randint(1, 1000):04d}",
        "activity_type": random.choice(_ACTIVITIES),
        "ip_address": f"{network}.{random.randint(1, 254)}",
        "user_agent": random.choice(_AGENTS),
        "timestamp": _moment(random, now, 15),
        "metadata": {"session_id": f"sess-{_hex(random, 12)}", "platform": random.choice(_PLATFORMS)},
    }


MAKERS: Mapping[str, Callable[[Random, datetime], Event]] = {
    "inventory": _inventory,
    "order": _order,
    "user_activity": _user_activity,
}
_TIMES = {"order": "order_date"}  # the others say ``timestamp``


@dataclass(frozen=True)
class Generator:
    """Draws from ``random``; rates are 0 to 1."""

    random: Random
    bad_rate: float = 0.0
    late_rate: float = 0.0

    def body(self, event_type: str, now: datetime) -> bytes:
        """One event as it is published."""
        late = self.random.random() < self.late_rate
        then = now - timedelta(hours=self.random.uniform(24, 168)) if late else now
        event = MAKERS[event_type](self.random, then)
        if self.random.random() < self.bad_rate:
            return self.random.choice(_SPOILERS)(event)
        return json.dumps(event).encode()


def _cut(event: Event) -> bytes:
    text = json.dumps(event)
    return text[: len(text) // 2].encode()


def _untyped(event: Event) -> bytes:
    return json.dumps({k: v for k, v in event.items() if k != "event_type"}).encode()


def _untimely(event: Event) -> bytes:
    return json.dumps(event | {_TIMES.get(event["event_type"], "timestamp"): "yesterday"}).encode()


_SPOILERS = (_cut, _untyped, _untimely)


# --- How many, how fast ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """``per_minute`` events of all types together, in turn, for ``minutes``."""

    per_minute: float
    minutes: float
    event_types: tuple[str, ...] = tuple(MAKERS)

    @property
    def events(self) -> int:
        return round(self.per_minute * self.minutes)

    def moments(self) -> Iterator[tuple[float, str]]:
        """(seconds from the start, event type) of each event."""
        for number in range(self.events):
            yield number * 60 / self.per_minute, self.event_types[number % len(self.event_types)]


SCENARIOS: Mapping[str, Scenario] = {
    "quick_sample": Scenario(12, 1),
    "light_demo": Scenario(30, 5),
    "moderate_load": Scenario(60, 10),
    "sustained_demo": Scenario(90, 30),
    "heavy_load": Scenario(120, 15),
    "burst_test": Scenario(300, 3),
    "stress_test": Scenario(600, 10),
    **{f"{name}s_only" if name == "order" else f"{name}_only": Scenario(60, 5, (name,)) for name in MAKERS},
}


def known_types(names: Sequence[str]) -> tuple[str, ...]:
    """The types asked for; all of them where none is named."""
    return tuple(dict.fromkeys(names)) or tuple(MAKERS)
