"""Requests that must not run: what was sent, which error code it earns, and whether its run id can be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from platform_assets.engine.metrics.failures import ErrorCode
from platform_assets_tests.engine.metrics.datasets import DATASET, MANIFEST, PROJECTIONS, RATIO, request

CONFIG, EXPRESSION, INPUT, MANIFEST_CODE = (
    ErrorCode.CONFIG_ERROR,
    ErrorCode.EXPRESSION_EVAL_ERROR,
    ErrorCode.INPUT_READ_ERROR,
    ErrorCode.MANIFEST_VALIDATION_ERROR,
)
RUN_ID = str(request(RATIO)["runId"])
A, B = {"seriesCode": "A"}, {"seriesCode": "B"}
LAG = {"op": "lag", "series": A, "window": 3}
GONE = object()


@dataclass(frozen=True)
class Malformed:
    name: str
    body: bytes
    code: ErrorCode
    event: bool = True

    def __str__(self) -> str:
        return self.name


def _bytes(document: Any) -> bytes:
    return json.dumps(document).encode()


def _changed(path: str, value: Any) -> bytes:
    """The good request with one field changed or gone."""
    document = json.loads(_bytes(request(RATIO)))
    *parents, last = path.split(".")
    place = document
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return _bytes(document)


def _sns(message: str, **changes: Any) -> bytes:
    return _bytes({"Type": "Notification", "TopicArn": "arn:x", "Message": message} | changes)


GOOD = _bytes(request(RATIO))
_TEXT = GOOD.decode()

UNREADABLE = [
    Malformed("empty", b"", CONFIG, event=False),
    Malformed("blank", b"  \n", CONFIG, event=False),
    Malformed("not json", b"hello", CONFIG, event=False),
    Malformed("xml", b"<xml/>", CONFIG, event=False),
    Malformed("null", b"null", CONFIG, event=False),
    Malformed("number", b"5", CONFIG, event=False),
    Malformed("text", b'"text"', CONFIG, event=False),
    Malformed("list", b"[]", CONFIG, event=False),
    Malformed("bytes", bytes(range(256)), CONFIG, event=False),
    Malformed("utf-16", _TEXT.encode("utf-16"), CONFIG, event=False),
    Malformed("deep", b"[" * 100_000, CONFIG, event=False),
    Malformed("deep object", b'{"a":' * 50_000, CONFIG, event=False),
    Malformed("empty object", b"{}", CONFIG, event=False),
    Malformed("other event", _bytes({"type": "metric_run_started", "runId": RUN_ID}), CONFIG, event=False),
    Malformed("other type, cut off", b'{"type": "metric_run_started", "runId": "x", ', CONFIG, event=False),
    Malformed("type in other case", _changed("type", "METRIC_RUN_REQUESTED"), CONFIG, event=False),
    Malformed("run id missing", _changed("runId", GONE), CONFIG, event=False),
    Malformed("run id null", _changed("runId", None), CONFIG, event=False),
    Malformed("run id empty", _changed("runId", ""), CONFIG, event=False),
    Malformed("run id number", _changed("runId", 7), CONFIG, event=False),
    Malformed("run id list", _changed("runId", ["x"]), CONFIG, event=False),
    Malformed("sns without message", _bytes({"Type": "Notification", "TopicArn": "x"}), CONFIG, event=False),
    Malformed("sns message no json", _sns("hello"), CONFIG, event=False),
    Malformed("sns message null", _sns("null"), CONFIG, event=False),
    Malformed("sns confirmation", _sns("x", Type="SubscriptionConfirmation"), CONFIG, event=False),
]

SALVAGED = [
    Malformed("cut off", GOOD[:-30], CONFIG),
    Malformed("cut off at half", GOOD[: len(GOOD) // 2], CONFIG),
    Malformed("trailing text", GOOD + b"x", CONFIG),
    Malformed("two documents", GOOD + GOOD, CONFIG),
    Malformed("NaN scale", _TEXT.replace('"scale": 2', '"scale": NaN').encode(), CONFIG),
    Malformed("infinite scale", _TEXT.replace('"scale": 2', '"scale": Infinity').encode(), CONFIG),
    Malformed("scale out of range", _TEXT.replace('"scale": 2', '"scale": 1e999').encode(), CONFIG),
    Malformed("single quotes around a key", _TEXT.replace('"catalog"', "'catalog'").encode(), CONFIG),
    Malformed("bad utf-8", GOOD.replace(b"versions/v1", b"versions/\xff1"), CONFIG),
    Malformed("byte order mark", b"\xef\xbb\xbf" + GOOD, CONFIG),
    Malformed("lone surrogate", GOOD.replace(b"versions/v1", rb"\ud800"), CONFIG),
    Malformed("too large", _changed("note", "x" * 1_100_000), CONFIG),
    Malformed("sns with cut off message", _sns(_TEXT[:-30]), CONFIG),
    Malformed("sns with bad timestamp", _sns(_TEXT, Timestamp="yesterday"), CONFIG),
    Malformed("nested too deep", GOOD.replace(b'"scale": 2', b'"scale": ' + b"[" * 5000), CONFIG),
]

REQUESTS = [
    Malformed("type missing", _changed("type", GONE), CONFIG),
    Malformed("type null", _changed("type", None), CONFIG),
    Malformed("type number", _changed("type", 5), CONFIG),
    Malformed("metric code missing", _changed("metricCode", GONE), CONFIG),
    Malformed("metric code null", _changed("metricCode", None), CONFIG),
    Malformed("metric code number", _changed("metricCode", 5), CONFIG),
    Malformed("metric code empty", _changed("metricCode", ""), CONFIG),
    Malformed("metric code path", _changed("metricCode", "../x"), CONFIG),
    Malformed("metric code slash", _changed("metricCode", "a/b"), CONFIG),
    Malformed("metric code blank", _changed("metricCode", "a b"), CONFIG),
    Malformed("metric code long", _changed("metricCode", "x" * 201), CONFIG),
    Malformed("metric code twice", _changed("metric_code", "other"), CONFIG),
    Malformed("run id twice", _changed("run_id", "other"), CONFIG),
    Malformed("expression type missing", _changed("expressionType", GONE), CONFIG),
    Malformed("expression type null", _changed("expressionType", None), CONFIG),
    Malformed("expression type number", _changed("expressionType", 1), CONFIG),
    Malformed("expression missing", _changed("expressionJson", GONE), CONFIG),
    Malformed("expression null", _changed("expressionJson", None), CONFIG),
    Malformed("expression text", _changed("expressionJson", json.dumps(RATIO)), CONFIG),
    Malformed("expression list", _changed("expressionJson", [RATIO]), CONFIG),
    Malformed("inputs missing", _changed("inputs", GONE), CONFIG),
    Malformed("inputs null", _changed("inputs", None), CONFIG),
    Malformed("inputs object", _changed("inputs", {}), CONFIG),
    Malformed("inputs of texts", _changed("inputs", ["A"]), CONFIG),
    Malformed("input without data set", _changed("inputs.0.datasetId", GONE), CONFIG),
    Malformed("input without series", _changed("inputs.0.seriesCode", GONE), CONFIG),
    Malformed("input series number", _changed("inputs.1.seriesCode", 5), CONFIG),
    Malformed("input data set null", _changed("inputs.1.datasetId", None), CONFIG),
    Malformed("catalog missing", _changed("catalog", GONE), CONFIG),
    Malformed("catalog list", _changed("catalog", []), CONFIG),
    Malformed("catalog empty", _changed("catalog", {}), CONFIG),
    Malformed("data sets list", _changed("catalog.datasets", []), CONFIG),
    Malformed("data set text", _changed(f"catalog.datasets.{DATASET}", "x"), CONFIG),
    Malformed("manifest path missing", _changed(f"catalog.datasets.{DATASET}.manifestPath", GONE), CONFIG),
    Malformed("manifest path empty", _changed(f"catalog.datasets.{DATASET}.manifestPath", ""), CONFIG),
    Malformed("manifest path number", _changed(f"catalog.datasets.{DATASET}.manifestPath", 1), CONFIG),
    Malformed("projections missing", _changed(f"catalog.datasets.{DATASET}.projectionsPath", GONE), CONFIG),
    Malformed("projections null", _changed(f"catalog.datasets.{DATASET}.projectionsPath", None), CONFIG),
    Malformed("output missing", _changed("output", GONE), CONFIG),
    Malformed("output text", _changed("output", "s3://b/metrics/x"), CONFIG),
    Malformed("output empty", _changed("output", {}), CONFIG),
    Malformed("base path null", _changed("output.basePath", None), CONFIG),
    Malformed("base path empty", _changed("output.basePath", ""), CONFIG),
    Malformed("base path number", _changed("output.basePath", 5), CONFIG),
    Malformed("everything wrong", _bytes({"type": "metric_run_requested", "runId": RUN_ID}), CONFIG),
]

# These parse; the run itself refuses them.
RUNS = [
    Malformed("base path is a bucket", _changed("output.basePath", "s3://bucket/"), CONFIG),
    Malformed("base path of slashes", _changed("output.basePath", "///"), CONFIG),
    Malformed("base path goes up", _changed("output.basePath", "s3://bucket/metrics/../datasets/x"), CONFIG),
    Malformed("base path with a dot", _changed("output.basePath", "metrics/./x"), CONFIG),
    Malformed("base path with an empty part", _changed("output.basePath", "metrics//x"), CONFIG),
    Malformed("base path with a control character", _changed("output.basePath", "metrics/a\nb"), CONFIG),
    Malformed("base path over the data sets", _changed("output.basePath", f"s3://b/datasets/{DATASET}"), CONFIG),
    Malformed("base path elsewhere", _changed("output.basePath", "elsewhere/x"), CONFIG),
    Malformed("data set not in the catalog", _changed("inputs.0.datasetId", "other"), INPUT),
    Malformed("series unknown", _bytes(request({**RATIO, "right": {"seriesCode": "Z"}})), INPUT),
    Malformed("series in inputs, not in the data set", _bytes(
        request({**RATIO, "right": {"seriesCode": "Z"}}, codes=["A", "Z"])), INPUT),
    Malformed("manifest gone", _changed(f"catalog.datasets.{DATASET}.manifestPath", "datasets/gone.json"), INPUT),
    Malformed("manifest path goes up", _changed(f"catalog.datasets.{DATASET}.manifestPath", "../secret"), INPUT),
    Malformed("manifest path of slashes", _changed(f"catalog.datasets.{DATASET}.manifestPath", "//"), INPUT),
    Malformed("manifest is a data file", _changed(
        f"catalog.datasets.{DATASET}.manifestPath", f"{PROJECTIONS}A/year=2024/month=01/data.parquet"), MANIFEST_CODE),
    Malformed("projections elsewhere", _changed(f"catalog.datasets.{DATASET}.projectionsPath", "gone/"), INPUT),
    Malformed("projections path goes up", _changed(f"catalog.datasets.{DATASET}.projectionsPath", "a/../.."), INPUT),
    Malformed("projections are a file", _changed(f"catalog.datasets.{DATASET}.projectionsPath", MANIFEST), INPUT),
]  # fmt: skip

_nested: Callable[[int], dict[str, Any]] = lambda n: LAG if n == 0 else {**LAG, "series": _nested(n - 1)}  # noqa: E731

_EXPRESSIONS: list[tuple[str, str, Any]] = [
    ("expression type unknown", "ratio", RATIO),
    ("expression type in other case", "SERIES_MATH", RATIO),
    ("expression type does not fit", "window_op", RATIO),
    ("expression type does not fit, composite", "composite", LAG),
    ("expression empty", "series_math", {}),
    ("expression is a reference", "series_math", A),
    ("no op", "series_math", {"left": A, "right": B}),
    ("op null", "series_math", {**RATIO, "op": None}),
    ("op unknown", "series_math", {**RATIO, "op": "divide"}),
    ("op in other case", "series_math", {**RATIO, "op": "Ratio"}),
    ("op of another kind", "series_math", {**RATIO, "op": "sma"}),
    ("op list", "series_math", {**RATIO, "op": ["ratio"]}),
    ("no operands at all", "series_math", {"op": "ratio"}),
    ("left missing", "series_math", {"op": "ratio", "right": B}),
    ("right missing", "series_math", {"op": "ratio", "left": A}),
    ("left null", "series_math", {**RATIO, "left": None}),
    ("left text", "series_math", {**RATIO, "left": "A"}),
    ("left number", "series_math", {**RATIO, "left": 5}),
    ("left empty", "series_math", {**RATIO, "left": {}}),
    ("left list", "series_math", {**RATIO, "left": [A]}),
    ("series code empty", "series_math", {**RATIO, "left": {"seriesCode": ""}}),
    ("series code null", "series_math", {**RATIO, "left": {"seriesCode": None}}),
    ("series code number", "series_math", {**RATIO, "left": {"series_code": 5}}),
    ("series code twice", "series_math", {**RATIO, "left": {"series_code": "A", "seriesCode": "B"}}),
    ("scale text", "series_math", {**RATIO, "scale": "2"}),
    ("scale bool", "series_math", {**RATIO, "scale": True}),
    ("scale list", "series_math", {**RATIO, "scale": [2]}),
    ("scale huge", "series_math", {**RATIO, "scale": 10**400}),
    ("window missing", "window_op", {"op": "lag", "series": A}),
    ("window null", "window_op", {**LAG, "window": None}),
    ("window zero", "window_op", {**LAG, "window": 0}),
    ("window negative", "window_op", {**LAG, "window": -3}),
    ("window fraction", "window_op", {**LAG, "window": 3.5}),
    ("window float", "window_op", {**LAG, "window": 3.0}),
    ("window text", "window_op", {**LAG, "window": "3"}),
    ("window bool", "window_op", {**LAG, "window": True}),
    ("window list", "window_op", {**LAG, "window": [3]}),
    ("window huge", "window_op", {**LAG, "window": 10**30}),
    ("series missing", "window_op", {"op": "lag", "window": 3}),
    ("series list", "window_op", {**LAG, "series": [A]}),
    ("operands null", "composite", {"op": "sum", "operands": None}),
    ("operands object", "composite", {"op": "sum", "operands": {"0": A, "1": B}}),
    ("operands empty", "composite", {"op": "sum", "operands": []}),
    ("one operand", "composite", {"op": "sum", "operands": [A]}),
    ("operand null", "composite", {"op": "sum", "operands": [A, None]}),
    ("operand wrong inside", "composite", {"op": "sum", "operands": [A, {**LAG, "window": 0}]}),
    ("too many operands", "composite", {"op": "sum", "operands": [A] * 1200}),
    ("too deep", "window_op", _nested(40)),
    ("fields of two kinds", "series_math", {**RATIO, "operands": [A, B]}),
]  # fmt: skip

EXPRESSIONS = [
    Malformed(f"expression: {name}", _bytes(request(raw, kind)), EXPRESSION)
    for name, kind, raw in _EXPRESSIONS
]

PARSING = [*UNREADABLE, *SALVAGED, *REQUESTS, *EXPRESSIONS]
ALL = [*PARSING, *RUNS]
