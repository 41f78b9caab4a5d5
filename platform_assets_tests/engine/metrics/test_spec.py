from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from platform_assets.engine.expressions.explain import formula
from platform_assets.engine.metrics.request import DatasetSource, SeriesInput
from platform_assets.engine.metrics.spec import (
    MetricSpec,
    check,
    dataset_of_series,
    expression_of,
    lineage_of,
    to_request,
)
from platform_assets_tests.engine.metrics.datasets import RATIO, T0

CONFIGS = Path(__file__).parents[3] / "configs" / "metrics"
RESERVES, RATE = "BCRA_RESERVAS_USD_M_D", "BCRA_TC_OFICIAL_A3500_PESOSxUSD_D"
BASE, LELIQ = "BCRA_BASE_MONETARIA_TOTAL_ARS_BN_D", "BCRA_LELIQ_NOTALIQ_ARS_BN_D"
REPOS = "BCRA_PASES_PASIVOS_ARS_BN_D"

DECLARED = {
    "ratio.reserves_to_base": f"ratio(multiply({RESERVES}, {RATE}), {BASE})",
    "mon.base_ampliada_ars": f"sum({BASE}, {LELIQ}, {REPOS})",
    "mon.pasivos_rem_ars": f"sum({LELIQ}, {REPOS})",
    "mon.respaldo_real": f"ratio(multiply({RESERVES}, {RATE}), sum({BASE}, {LELIQ}, {REPOS}))",
    "delta.base_30d": f"ratio(subtract({BASE}, lag({BASE}, 30 days)), lag({BASE}, 30 days))",
    "delta.reserves_7d": f"ratio(subtract({RESERVES}, lag({RESERVES}, 7 days)), lag({RESERVES}, 7 days))",
}


def spec(**changes: Any) -> MetricSpec:
    fields = {"metric_code": "m", "expression_type": "series_math", "expression": RATIO, "dataset": "d"}
    return MetricSpec.model_validate(fields | changes)


@pytest.mark.parametrize(("code", "text"), sorted(DECLARED.items()))
def test_declared_metrics(code: str, text: str) -> None:
    found = MetricSpec.model_validate(yaml.safe_load((CONFIGS / f"{code}.yml").read_text()))
    assert found.metric_code == code
    assert check(found) == ()
    assert formula(expression_of(found)) == text
    assert set(dataset_of_series(found).values()) == {"bcra_infomondia_series"}


def test_every_file_is_one_of_them() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yml")} >= set(DECLARED)


def test_a_good_metric_has_no_problems() -> None:
    assert check(spec()) == ()
    assert check(spec(dataset=None, series_datasets={"A": "d", "B": "e"})) == ()


PROBLEMS: list[tuple[dict[str, Any], tuple[Any, ...], str]] = [
    ({"expression": {**RATIO, "op": "divide"}}, ("expression", "op"), "'divide' is no series_math operation"),
    ({"expression": {**RATIO, "left": {}}}, ("expression", "left"), "is neither a reference"),
    ({"expression_type": "composite"}, ("expression",), "expressionType says composite"),
    ({"dataset": None}, ("dataset",), "no data set for series 'A'"),
    ({"series_datasets": {"AA": "d"}}, ("series_datasets", "AA"), "is no series of the expression"),
    (
        {"datasets": {"dd": {"manifest": "m", "projections": "p"}}},
        ("datasets", "dd"),
        "data set 'dd' is used by no series",
    ),
]


@pytest.mark.parametrize(("changes", "location", "reason"), PROBLEMS)
def test_problems_have_their_place(changes: dict[str, Any], location: tuple[Any, ...], reason: str) -> None:
    found = check(spec(**changes))
    assert found[0].location == location
    assert reason in found[0].reason


@pytest.mark.parametrize(
    "changes",
    [
        {"metric_code": "a/b"},
        {"metric_code": ""},
        {"expresion": {}},
        {"refresh": "never"},
        {"dataset": "../x"},
    ],
)
def test_the_model_refuses(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**changes)


def test_a_declared_metric_becomes_a_request() -> None:
    elsewhere = {"e": {"manifest": "x/manifest.json", "projections": "x/files"}}
    found = to_request(spec(series_datasets={"B": "e"}, datasets=elsewhere), "run", T0, tenant="acme1281")
    assert found.inputs == (SeriesInput("d", "A"), SeriesInput("e", "B"))
    assert found.datasets == {
        "d": DatasetSource("datasets/d/current/manifest.json", "datasets/d/projections"),
        "e": DatasetSource("x/manifest.json", "x/files"),
    }
    assert (found.base_path, found.requested_at, found.tenant) == ("metrics/m", T0, "acme1281")


def test_lineage_goes_to_the_series() -> None:
    lineage = lineage_of(spec())
    assert [(column.dataset, column.series) for column in lineage["obs_time"]] == [("d", "A"), ("d", "B")]
