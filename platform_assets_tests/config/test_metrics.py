"""Declared metrics: what a file may say wrong, each at its line."""

import re
from datetime import date
from pathlib import Path

import pytest

from platform_assets.config import load
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.pipelines import Configuration
from platform_assets_tests.config.tree import GOOD, write_tree

FILE = "metrics/ratio.a_to_b.yml"
METRIC = """\
metric_code: ratio.a_to_b
description: A over B.
unit: ratio
dataset: series
expression_type: series_math
expression:
  op: ratio
  left: {op: sma, window: 7, series: {series_code: A}}
  right:
    op: sum
    operands:
      - {series_code: B}
      - {series_code: C}
series_datasets: {B: others, C: others}
datasets:
  others: {manifest: elsewhere/manifest.json, projections: elsewhere/data}
refresh: on_change
"""


def _load(folder: Path, **files: str) -> Configuration:
    named = {f"metrics/{name.replace('__', '.')}.yml": text for name, text in files.items()}
    root = write_tree(folder, {**GOOD, **named})
    return load(root, deployment="local", environment={"PLATFORM_HOME": "/data"}, today=date(2026, 11, 21))


def _problems(folder: Path, **files: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        _load(folder, **files)
    return caught.value.problems


def test_metrics_are_read_by_code(tmp_path: Path) -> None:
    second = METRIC.replace("ratio.a_to_b", "another")
    configuration = _load(tmp_path, ratio__a_to_b=METRIC, another=second)
    assert list(configuration.metrics) == ["another", "ratio.a_to_b"]
    assert configuration.metrics["ratio.a_to_b"].refresh == "on_change"


# (name, old, new, text on the problem's line, field, reason, nearest)
MISTAKES = [
    ("unknown key", "unit:", "units:", "units", "units", "is not known here", "unit"),
    ("wrong name", "metric_code: ratio.a_to_b", "metric_code: ratio.b", "metric_code", "metric_code",
     "the file is named ratio.a_to_b.yml", "ratio.a_to_b"),
    ("wrong kind", "expression_type: series_math", "expression_type: series_maths", "expression_type",
     "expression_type", "must be one of composite, series_math", "series_math"),
    ("wrong refresh", "refresh: on_change", "refresh: on_changes", "refresh", "refresh", "must be one of", "on_change"),
    ("wrong operation", "op: ratio", "op: ration", "op: ration", "expression.op", "ration", "ratio"),
    ("wrong window", "window: 7", "window: 0", "window: 0", "expression.left.window", "must be from 1", None),
    ("no window", "window: 7, ", "", "left:", "expression.left.window", "missing", None),
    ("wrong series", "{series_code: B}", "{series_cod: B}", "series_cod: B", "expression.right.operands[0]",
     "series_cod", None),
    ("no expression", METRIC[METRIC.index("expression:"):METRIC.index("series_datasets")], "", "metric_code",
     "expression", "is missing", None),
    ("no dataset", "dataset: series\n", "", "metric_code", "dataset", "no data set for series", None),
    ("no such series", "series_datasets: {B: others, C: others}", "series_datasets: {B: others, C: others, AA: others}",
     "series_datasets", "series_datasets.AA", "is no series of the expression", "A"),
    ("unused data set", "  others: {", "  other: {manifest: m, projections: p}\n  others: {", "other: {manifest: m",
     "datasets.other", "is used by no series", "others"),
    ("no projections", ", projections: elsewhere/data", "", "others: {manifest",
     "datasets.others.projections", "is missing", None),
    ("bad data set id", "dataset: series", "dataset: a/b", "dataset: a/b", "dataset", "does not match", None),
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m[0].replace(" ", "_"))
def test_a_mistake_is_told_at_its_line(mistake: tuple[str, ...], tmp_path: Path) -> None:
    _, old, new, mark, place, reason, hint = mistake
    assert old in METRIC
    text = METRIC.replace(old, new, 1)
    found = _problems(tmp_path, ratio__a_to_b=text)
    line = text[: text.index(mark)].count("\n") + 1
    assert [(p.file, p.line, p.nearest) for p in found] == [(FILE, line, hint)], found
    assert found[0].field.startswith(place), found
    assert re.search(reason, found[0].reason), found


def test_every_mistake_of_an_expression_is_told_at_once(tmp_path: Path) -> None:
    text = METRIC.replace("op: ratio", "op: ration").replace("window: 7", "window: 0")
    assert len(_problems(tmp_path, ratio__a_to_b=text)) == 2


def test_metrics_that_cannot_stand_side_by_side(tmp_path: Path) -> None:
    twin = METRIC.replace(
        "metric_code: ratio.a_to_b", "metric_code: ratio-a_to_b\nbase_path: metrics/ratio.a_to_b"
    )
    twin = twin.replace("elsewhere/manifest.json", "moved/manifest.json")
    found = {
        (p.file, p.field): p.reason
        for p in _problems(tmp_path, **{"ratio__a_to_b": METRIC, "ratio-a_to_b": twin})
    }
    assert set(found) == {
        (FILE, "metric_code"),
        (FILE, "base_path"),
        (FILE, "datasets.others"),
    }
