"""Decoders: payloads no path can describe."""

from decimal import Decimal
from importlib import import_module
from pathlib import Path

import pytest

from platform_assets.engine.errors import DataError
from platform_assets.engine.ingestion import decoders
from platform_assets.engine.ingestion.decoders import DECODERS, decoder


def test_every_decoder_file_is_registered_and_every_name_has_its_file():
    files = {p.stem for p in Path(decoders.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(DECODERS)
    assert all(callable(import_module(f"{decoders.__name__}.{name}").page) for name in DECODERS)


def test_an_aggregated_list_becomes_one_list():
    page = {
        "items": {
            "zones/us-central1-a": {"instances": [{"id": "1"}, {"id": "2"}]},
            "zones/us-central1-b": {"warning": {"code": "NO_RESULTS_ON_PAGE"}},
        },
        "nextPageToken": "t",
    }
    assert decoder("aggregated_list")(page) == {
        "items": [{"id": "1", "_zone": "us-central1-a"}, {"id": "2", "_zone": "us-central1-a"}],
        "nextPageToken": "t",
    }
    assert decoder("aggregated_list")({}) == {"items": []}
    with pytest.raises(DataError):
        decoder("aggregated_list")({"items": []})


FIELDS = [
    {"name": "BilledCost", "type": "NUMERIC", "mode": "NULLABLE"},
    {"name": "ChargePeriodStart", "type": "TIMESTAMP", "mode": "NULLABLE"},
    {
        "name": "Tags",
        "type": "RECORD",
        "mode": "REPEATED",
        "fields": [{"name": "key", "type": "STRING"}, {"name": "value", "type": "STRING"}],
    },
]


def cells(*values):
    return {"f": [{"v": v} for v in values]}


def test_bigquerys_cells_become_fields():
    tags = [{"v": cells("env", "prod")}]
    page = {
        "schema": {"fields": FIELDS},
        "rows": [cells("1.123456789012345678", "1777593600000000", tags), cells(None, None, [])],
    }
    assert decoder("bigquery_rows")(page)["rows"] == [
        {
            "BilledCost": "1.123456789012345678",
            "ChargePeriodStart": Decimal(1777593600),
            "Tags": [{"key": "env", "value": "prod"}],
        },
        {"BilledCost": None, "ChargePeriodStart": None, "Tags": []},
    ]


def test_bigquerys_float_seconds_and_empty_answers():
    page = {"schema": {"fields": FIELDS[1:2]}, "rows": [cells("1.7775936E9")]}
    assert decoder("bigquery_rows")(page)["rows"] == [{"ChargePeriodStart": Decimal("1777593600")}]
    assert decoder("bigquery_rows")({"schema": {"fields": FIELDS}, "totalRows": "0"})["rows"] == []
    with pytest.raises(DataError, match="1 cells"):
        decoder("bigquery_rows")({"schema": {"fields": FIELDS}, "rows": [cells("1")]})
    with pytest.raises(DataError, match="no schema"):
        decoder("bigquery_rows")({"rows": []})
