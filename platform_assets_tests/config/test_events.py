"""Declared event types: what a file may say wrong, each at its line, all at once."""

from datetime import date
from pathlib import Path

import pytest

from platform_assets.config import load
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.events.spec import ContractMode, EventSpec, check, declared_columns, table_spec
from platform_assets.engine.pipelines import Configuration
from platform_assets_tests.config.tree import GOOD, write_tree

EVENT = """\
event_type: refund
table: refunds
key: [refund_id]
event_time: refunded_at
cluster_by: [shop]
partition: {granularity: MONTH, expiration_days: 90}
contract: {columns: freeze, data_type: discard_value}
fields:
  - {name: refund_id, type: STRING}
  - {name: refunded_at, type: TIMESTAMP}
  - {name: shop, type: STRING}
  - {name: amount, type: NUMERIC}
  - {name: lines, type: RECORD, mode: REPEATED, fields: [{name: sku, type: STRING}]}
"""


def _load(folder: Path, **files: str) -> Configuration:
    named = {f"events/{name}.yml": text for name, text in files.items()}
    root = write_tree(folder, {**GOOD, **named})
    return load(root, deployment="local", environment={"PLATFORM_HOME": "/data"}, today=date(2026, 11, 21))


def _problems(folder: Path, **files: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        _load(folder, **files)
    return caught.value.problems


def test_event_types_are_read_by_name(tmp_path: Path) -> None:
    spec = _load(tmp_path, refund=EVENT).events["refund"]
    assert spec.contract.data_type is ContractMode.DISCARD_VALUE
    table = table_spec(spec, declared_columns(spec))
    assert str(table.name) == "raw_events.refunds"
    assert table.schema.names[:3] == ("event_type", "refund_id", "refunded_at")
    assert {"event_date", "processed_timestamp", "x_key"} < set(table.schema.names)
    assert table.partitioning is not None
    assert (table.partitioning.column, table.partitioning.expiration_days) == ("event_date", 90)


# (old, new, text on the problem's line, field, reason, nearest)
MISTAKES = [
    ("key: [refund_id]", "key: [refundid]", "key", "key[0]", "'refundid' is not declared", "refund_id"),
    ("key: [refund_id]", "key: [lines]", "key", "key[0]", "which cannot be compared", None),
    ("key: [refund_id]", "key: [shop, shop]", "key", "key[1]", "is named twice", None),
    (
        "event_time: refunded_at",
        "event_time: shop",
        "event_time",
        "event_time",
        "must be one TIMESTAMP",
        None,
    ),
    ("cluster_by: [shop]", "cluster_by: [shp]", "cluster_by", "cluster_by[0]", "is not declared", "shop"),
    ("columns: freeze", "columns: freezed", "contract", "contract.columns", "", None),
    ("contract: {", "contract: {tables: discard_value, ", "contract", "contract.tables", "", None),
    (
        "name: amount",
        "name: event_date",
        "event_date",
        "fields[3].name",
        "that every event's table has",
        None,
    ),
    ("type: NUMERIC", "type: NUMBER", "NUMBER", "fields[3].type", "is not a column type", "NUMERIC"),
    ("table: refunds", "tabel: refunds", "tabel", "tabel", "is not known here", "table"),
]


@pytest.mark.parametrize(("old", "new", "text", "field", "reason", "nearest"), MISTAKES)
def test_a_mistake_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, text: str, field: str, reason: str, nearest: str | None
) -> None:
    wrong = EVENT.replace(old, new)
    found = {p.field: p for p in _problems(tmp_path, refund=wrong)}
    problem = found[field]
    assert text in wrong.splitlines()[problem.line - 1]
    assert problem.file == "events/refund.yml"
    assert reason in problem.reason
    if nearest:
        assert problem.nearest == nearest


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    wrong = EVENT.replace("key: [refund_id]", "key: [a]").replace("cluster_by: [shop]", "cluster_by: [b]")
    again = EVENT.replace("event_type: refund", "event_type: other")
    found = _problems(tmp_path, refund=wrong, other=again, third=EVENT.replace("refund\n", "third\n", 1))
    fields = [(p.file, p.field) for p in found]
    assert fields == [
        ("events/refund.yml", "key[0]"),
        ("events/refund.yml", "cluster_by[0]"),
        ("events/third.yml", "table"),
    ]


def test_the_owner_of_events_that_name_none_must_be_a_tenant(tmp_path: Path) -> None:
    deployment = GOOD["deployments/local.yml"] + "events: {tenant: acme1282}\n"
    root = write_tree(tmp_path, {**GOOD, "deployments/local.yml": deployment})
    with pytest.raises(ConfigError) as caught:
        load(root, deployment="local", environment={"PLATFORM_HOME": "/data"}, today=date(2026, 11, 21))
    (problem,) = caught.value.problems
    assert (problem.file, problem.field, problem.nearest) == (
        "deployments/local.yml",
        "events.tenant",
        "acme1281",
    )


def test_a_type_without_fields_is_right() -> None:
    assert check(EventSpec(event_type="any", table="any")) == ()
