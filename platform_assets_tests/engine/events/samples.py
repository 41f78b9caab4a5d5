"""The README's sample events of the event pipeline, as it prints them, and events as odd as old senders make them."""

from __future__ import annotations

import json
from typing import Any

ORDER: dict[str, Any] = {
    "event_type": "order",
    "order_id": "order-123",
    "customer_id": "customer-456",
    "order_date": "2024-01-15T10:30:00Z",
    "status": "pending",
    "items": [{"product_id": "prod-1", "product_name": "Lamp", "quantity": 2, "price": 49.995}],
    "total_amount": 99.99,
    "currency": "USD",
    "event_date": "2024-01-15",
}
INVENTORY: dict[str, Any] = {
    "event_type": "inventory",
    "inventory_id": "inv-123",
    "product_id": "prod-456",
    "quantity_change": -5,
    "warehouse_id": "wh-us-central",
    "reason": "sale",
    "timestamp": "2024-01-15T10:35:00Z",
    "event_date": "2024-01-15",
}
USER_ACTIVITY: dict[str, Any] = {
    "event_type": "user_activity",
    "user_id": "user-123",
    "session_id": "sess-456",
    "activity_type": "page_view",
    "page_url": "/products/prod-789",
    "timestamp": "2024-01-15T10:40:00Z",
    "event_date": "2024-01-15",
}
README = {"inventory": INVENTORY, "order": ORDER, "user_activity": USER_ACTIVITY}
# Many fields that nobody declared, and few that are: 4, 4 and 8 of them, as the old integration script sent.
SCRIPT: dict[str, dict[str, Any]] = {
    "order": {
        "event_type": "order",
        "order_id": "test-order-001",
        "customer_id": "test-customer",
        "order_date": "2025-08-01T12:00:00Z",
        "product_name": "Test Product",
        "quantity": 2,
        "unit_price": 12.5,
        "notes": None,
        "gift": {"wrap": True, "message": "for you"},
    },
    "inventory": {
        "event_type": "inventory",
        "product_id": "test-product",
        "warehouse": "wh-1",
        "current_stock": 100,
        "previous_stock": 95.5,
        "timestamp": "2025-08-01T12:00:10Z",
        "tags": ["a", "b"],
    },
    "user_activity": {
        "event_type": "user_activity",
        "user_id": "test-user",
        "action": "click",
        "page": "/home",
        "referrer": "https://shop.example/",
        "device": {"os": "linux", "screen": {"width": 1920, "height": 1080.5}},
        "duration_ms": 1500,
        "ab-test": "B",
        "seen_at": "2025-08-01T12:00:20+02:00",
        "birthday": "2000-02-29",
        "timestamp": "2025-08-01T12:00:20Z",
    },
}
TEST_MESSAGE = {"event_type": "order", "test": True}  # README, "Test Pub/Sub publishing"


def body(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()
