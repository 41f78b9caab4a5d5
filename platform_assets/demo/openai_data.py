"""A made-up OpenAI organization: who used what on which day, and what it cost.

Deterministic: a tenant's day is always the same, whenever and wherever it is asked for. Usage and costs come from the
same facts, so their totals agree to the last digit. What real answers do and simple fakes do not:

* amounts with up to 16 decimals, sent as numbers on even days of the month and as text on odd ones;
* cached and batch tokens at their own prices, several projects, users and keys, and a negative credit row without
  project on the first of each month;
* nothing at all on the 13th (``EMPTY_DAY``): an empty day that is really empty.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

EMPTY_DAY = 13
CREDIT_DAY = 1
PER_MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens."""

    input: Decimal
    cached: Decimal
    output: Decimal


CHAT_PRICES = {
    "gpt-4o-mini-2024-07-18": Price(Decimal("0.15"), Decimal("0.075"), Decimal("0.60")),
    "gpt-4o-2024-08-06": Price(Decimal("2.50"), Decimal("1.25"), Decimal("10")),
    "gpt-4.1-2025-04-14": Price(Decimal("2.00"), Decimal("0.50"), Decimal("8")),
    "o4-mini-2025-04-16": Price(Decimal("1.10"), Decimal("0.275"), Decimal("4.40")),
}
EMBEDDING_PRICES = {"text-embedding-3-small": Decimal("0.02"), "text-embedding-3-large": Decimal("0.13")}
# Other services: endpoint → (line item, price of one unit, quantity unit). None is free of charge.
UNIT_PRICES = {
    "moderations": None,
    "images": ("dall-e-3, image", Decimal("0.04"), "images"),
    "audio_speeches": ("tts-1, characters", Decimal("0.000015"), "characters"),
    "audio_transcriptions": ("whisper-1, seconds", Decimal("0.0001"), "duration_seconds"),
    "vector_stores": None,
    "code_interpreter_sessions": ("assistants api | code interpreter", Decimal("0.03"), "sessions"),
    "file_search_calls": ("assistants api | file search", Decimal("0.0025"), "requests"),
    "web_search_calls": ("web search, calls", Decimal("0.025"), "requests"),
}
QUANTITY_FIELD = {
    "moderations": "input_tokens",
    "images": "images",
    "audio_speeches": "characters",
    "audio_transcriptions": "seconds",
    "vector_stores": "usage_bytes",
    "code_interpreter_sessions": "num_sessions",
    "file_search_calls": "num_requests",
    "web_search_calls": "num_requests",
}
_MODEL_OF = {
    "moderations": "omni-moderation-latest",
    "images": "dall-e-3",
    "audio_speeches": "tts-1",
    "audio_transcriptions": "whisper-1",
    "web_search_calls": "gpt-4o-2024-08-06",
}


@dataclass(frozen=True)
class Fact:
    """What one key did with one model in one hour of a day: dimensions and counts."""

    endpoint: str
    hour: int
    dimensions: dict[str, str | bool | None]
    counts: dict[str, int]


@dataclass(frozen=True)
class Charge:
    """One priced quantity of a day."""

    project_id: str | None
    api_key_id: str | None
    line_item: str | None
    amount: Decimal
    quantity: int | None
    unit: str | None


@lru_cache(maxsize=4096)
def facts(seed: str, tenant: str, day: date) -> tuple[Fact, ...]:
    """A tenant's day of use; empty on the 13th."""
    if day.day == EMPTY_DAY:
        return ()
    dice = random.Random(f"{seed}|{tenant}|{day.isoformat()}")
    found: list[Fact] = []
    for p, (project, keys) in enumerate(_projects(seed, tenant)):
        for key in keys:
            found.extend(_chat(dice, project, key))
        found.extend(_embeddings(dice, project, keys[0]))
        found.extend(_services(dice, project, keys[0], p))
    return tuple(found)


@lru_cache(maxsize=4096)
def charges(seed: str, tenant: str, day: date) -> tuple[Charge, ...]:
    """What the day's facts cost, one row per project, key and line item, plus credits."""
    factor = _contract(seed, tenant)
    sums: dict[tuple[str, str, str, str | None], tuple[Decimal, int]] = {}
    for fact in facts(seed, tenant, day):
        for line_item, price, quantity, unit in _lines(fact):
            key = (str(fact.dimensions["project_id"]), str(fact.dimensions["api_key_id"]), line_item, unit)
            amount, total = sums.get(key, (Decimal(0), 0))
            sums[key] = (amount + price * quantity * factor, total + quantity)
    rows = [Charge(p, k, line, a, q, unit) for (p, k, line, unit), (a, q) in sorted(sums.items(), key=str)]
    if day.day == CREDIT_DAY and rows:
        spent = sum((r.amount for r in rows), Decimal(0))
        rows.append(Charge(None, None, None, -(spent / 10).quantize(Decimal("0.01")), None, None))
    return tuple(rows)


def _projects(seed: str, tenant: str) -> list[tuple[str, list[str]]]:
    dice = random.Random(f"{seed}|{tenant}|projects")
    names = [f"proj_{tenant}_{name}" for name in ("assistant", "search", "research", "support")]
    return [
        (n, [f"key_{n}_{i}" for i in range(dice.choice((1, 2, 2)))]) for n in names[: dice.choice((2, 3, 4))]
    ]


def _contract(seed: str, tenant: str) -> Decimal:
    """A negotiated factor with seven decimals: prices that are not round, as in real bills, and near the list."""
    dice = random.Random(f"{seed}|{tenant}|contract")
    return Decimal(dice.randrange(9_600_001, 9_999_999)).scaleb(-7)


def _chat(dice: random.Random, project: str, key: str) -> Iterator[Fact]:
    for model in dice.sample(sorted(CHAT_PRICES), dice.choice((2, 3))):
        for batch in (False, True) if dice.random() < 0.4 else (False,):
            for hour in sorted(dice.sample(range(24), dice.choice((2, 4)))):
                requests = dice.randrange(5, 400)
                total = requests * dice.randrange(200, 3000)
                cached = 0 if batch else total * dice.randrange(0, 60) // 100
                written = (total - cached) * dice.randrange(0, 20) // 100
                yield Fact(
                    "completions",
                    hour,
                    _who(project, key, dice) | {"model": model, "batch": batch, "service_tier": "default"},
                    _tokens(total, cached, written, requests * dice.randrange(50, 700))
                    | {"num_model_requests": requests},
                )


def _tokens(total: int, cached: int, written: int, output: int) -> dict[str, int]:
    return {
        "input_tokens": total,
        "input_cached_tokens": cached,
        "input_cache_write_tokens": written,
        "input_uncached_tokens": total - cached - written,
        "output_tokens": output,
        "input_text_tokens": total,
        "output_text_tokens": output,
        "input_cached_text_tokens": cached,
        "input_audio_tokens": 0,
        "input_cached_audio_tokens": 0,
        "output_audio_tokens": 0,
        "input_image_tokens": 0,
        "input_cached_image_tokens": 0,
        "output_image_tokens": 0,
    }


def _embeddings(dice: random.Random, project: str, key: str) -> Iterator[Fact]:
    model = dice.choice(sorted(EMBEDDING_PRICES))
    requests = dice.randrange(1, 900)
    counts = {"input_tokens": requests * dice.randrange(100, 900), "num_model_requests": requests}
    yield Fact("embeddings", dice.randrange(24), _who(project, key, dice) | {"model": model}, counts)


def _services(dice: random.Random, project: str, key: str, place: int) -> Iterator[Fact]:
    """Every project uses another part of the smaller services."""
    for number, endpoint in enumerate(sorted(UNIT_PRICES)):
        if (number + place) % 3 == 0:
            who = _who(project, key, dice) | {"model": _MODEL_OF.get(endpoint)} | _special(endpoint, project)
            quantity = dice.randrange(1, 5_000)
            counts = {QUANTITY_FIELD[endpoint]: quantity}
            if endpoint in _MODEL_OF:
                counts = {"num_model_requests": max(1, quantity // 7), **counts}
            yield Fact(endpoint, dice.randrange(24), who, counts)


def _special(endpoint: str, project: str) -> dict[str, str | bool | None]:
    special: dict[str, dict[str, str | bool | None]] = {
        "images": {"size": "1024x1024", "source": "image.generation"},
        "web_search_calls": {"context_level": "medium"},
        "file_search_calls": {"vector_store_id": f"vs_{project}"},
    }
    return special.get(endpoint, {})


def _who(project: str, key: str, dice: random.Random) -> dict[str, str | bool | None]:
    return {"project_id": project, "user_id": f"user-{dice.randrange(3)}", "api_key_id": key}


def _lines(fact: Fact) -> Iterator[tuple[str, Decimal, int, str | None]]:
    """(line item, price of one, quantity, unit) of a fact; batch halves the price."""
    model, counts = str(fact.dimensions.get("model")), fact.counts
    if fact.endpoint == "completions":
        price, half = CHAT_PRICES[model], Decimal("0.5") if fact.dimensions["batch"] else Decimal(1)
        name = f"{model} batch" if fact.dimensions["batch"] else model
        fresh = counts["input_tokens"] - counts["input_cached_tokens"]
        yield f"{name}, input", price.input * half / PER_MILLION, fresh, "tokens"
        yield f"{name}, output", price.output * half / PER_MILLION, counts["output_tokens"], "tokens"
        if counts["input_cached_tokens"]:
            yield f"{name}, cached input", price.cached / PER_MILLION, counts["input_cached_tokens"], "tokens"
    elif fact.endpoint == "embeddings":
        yield f"{model}, input", EMBEDDING_PRICES[model] / PER_MILLION, counts["input_tokens"], "tokens"
    elif (line := UNIT_PRICES[fact.endpoint]) is not None:
        yield line[0], line[1], counts[QUANTITY_FIELD[fact.endpoint]], line[2]
