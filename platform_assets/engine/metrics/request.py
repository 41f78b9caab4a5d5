"""``metric_run_requested`` → a checked value. Lenient in form, strict in content.

Accepted: the event itself or inside an SNS notification (whose attributes ``type`` and ``metricCode`` win over the
body), camelCase or snake_case, unknown fields. A request that cannot be used still tells its run id where one can
be read, so that whoever waits for the run hears of its failure. Source: the control plane's event contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from platform_assets.engine.errors import DataError, PlatformError
from platform_assets.engine.expressions.faults import ExpressionError
from platform_assets.engine.expressions.grammar import DEFAULT_LIMITS, Limits, parse
from platform_assets.engine.expressions.nodes import Expression
from platform_assets.engine.messages import Envelope, unwrap
from platform_assets.engine.metrics.failures import ErrorCode

REQUEST_TYPE = "metric_run_requested"
MAX_BODY = 1024 * 1024  # SQS and SNS carry at most this
_METRIC_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
_RUN_ID = re.compile(r'\\?"run(?:Id|_id)\\?"\s*:\s*\\?"([^"\\]{1,500})\\?"')
_TYPE = re.compile(r'\\?"type\\?"\s*:\s*\\?"([^"\\]{1,100})\\?"')
_NONE: Mapping[str, str] = MappingProxyType({})
_SNAKE = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class SeriesInput:
    """Which data set a series is read from."""

    dataset: str
    series: str


@dataclass(frozen=True)
class DatasetSource:
    """Where a data set's manifest is, and the prefix below which its files are."""

    manifest: str
    projections: str


@dataclass(frozen=True)
class MetricRequest:
    """One run that was asked for. ``requested_at`` orders runs of one metric: the newest wins the alias."""

    run_id: str
    metric_code: str
    expression: Expression
    inputs: tuple[SeriesInput, ...]
    datasets: Mapping[str, DatasetSource]
    base_path: str
    requested_at: datetime | None = None
    tenant: str | None = None


class RequestError(DataError):
    """A request that cannot be run. ``run_id`` is None where none can be read, or the message is no request."""

    def __init__(
        self, code: ErrorCode, message: str, run_id: str | None = None, metric_code: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.run_id = run_id
        self.metric_code = metric_code


def parse_request(
    body: bytes,
    attributes: Mapping[str, str] = _NONE,
    *,
    published_at: datetime | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> MetricRequest:
    """One delivered message → request. ``attributes`` and ``published_at`` are what the queue says about it.

    Raises RequestError: CONFIG_ERROR for the request, EXPRESSION_EVAL_ERROR where only its expression is wrong.
    """
    try:
        envelope = unwrap(body, attributes, published_at=published_at)
        event = _decode(envelope.body)
    except PlatformError as error:
        raise RequestError(
            ErrorCode.CONFIG_ERROR, f"cannot be decoded: {error}", _salvaged_run_id(body)
        ) from error
    return _request(_Fields(event), envelope, limits)


def _decode(body: bytes) -> Mapping[str, object]:
    import msgspec

    if len(body) > MAX_BODY:
        raise DataError(f"{len(body):,} bytes are more than a message may have")
    try:
        event = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(str(error)) from error
    if not isinstance(event, dict):
        raise DataError("not a JSON object")
    return event


def _salvaged_run_id(body: bytes) -> str | None:
    """The run id of a body that is not JSON, unless it says that it is another kind of event."""
    text = body[:MAX_BODY].decode(errors="replace")
    kind, run_id = _TYPE.search(text), _RUN_ID.search(text)
    other = kind is not None and kind[1] not in (REQUEST_TYPE, "Notification")
    return run_id[1] if run_id and not other else None


@dataclass
class _Fields:
    """One JSON object read field by field; collects what is wrong, each with its path."""

    raw: Mapping[str, object]
    path: str = ""
    problems: list[str] = field(default_factory=list)

    def value(self, name: str) -> object:
        """The field in either spelling; None where it is absent."""
        snake = _SNAKE.sub("_", name).lower()
        given = [self.raw[key] for key in dict.fromkeys((name, snake)) if key in self.raw]
        if len(given) == 2 and given[0] != given[1]:
            self.problems.append(f"{self.path}{name} and {snake} differ")
        return given[0] if given else None

    def text(self, name: str) -> str:
        """A text that is not empty; "" after telling a problem."""
        value = self.value(name)
        if isinstance(value, str) and value:
            return value
        self.problems.append(f"{self.path}{name} {_fault(value, 'text')}")
        return ""

    def child(self, name: str) -> _Fields:
        return self.entry(name, self.value(name))

    def entry(self, name: str, value: object) -> _Fields:
        """A value that must be an object. Where it is not, that is told, and nothing of what it lacks."""
        if isinstance(value, dict):
            return _Fields(value, f"{self.path}{name}.", self.problems)
        self.problems.append(f"{self.path}{name} {_fault(value, 'an object')}")
        return _Fields({})

    def items(self, name: str) -> Iterator[_Fields]:
        """The objects of a list."""
        value = self.value(name)
        if not isinstance(value, list):
            self.problems.append(f"{self.path}{name} {_fault(value, 'a list')}")
            return
        for i, item in enumerate(value):
            if isinstance(item, dict):
                yield _Fields(item, f"{self.path}{name}[{i}].", self.problems)
            else:
                self.problems.append(f"{self.path}{name}[{i}] must be an object")


def _fault(value: object, wanted: str) -> str:
    return "is missing" if value is None else "is empty" if value == "" else f"must be {wanted}"


def _request(fields: _Fields, envelope: Envelope, limits: Limits) -> MetricRequest:
    kind = envelope.attributes.get("type") or fields.value("type")
    if isinstance(kind, str) and kind != REQUEST_TYPE:
        raise RequestError(ErrorCode.CONFIG_ERROR, f"type {kind[:100]!r} is not {REQUEST_TYPE}")
    if kind is None or not isinstance(kind, str):
        fields.problems.append("type is missing" if kind is None else "type must be text")
    run_id = fields.text("runId")
    code = _metric_code(fields, envelope.attributes)
    inputs = tuple(_inputs(fields.items("inputs")))
    datasets = dict(_datasets(fields.child("catalog").child("datasets")))
    base_path = fields.child("output").text("basePath")
    expression = _expression(fields, limits)
    if fields.problems or isinstance(expression, ExpressionError):
        raise _refusal(fields.problems, expression, run_id or None, code)
    tenant = fields.value("tenant")
    return MetricRequest(
        run_id, code, expression, inputs, datasets, base_path, envelope.published_at,
        tenant if isinstance(tenant, str) else None,
    )  # fmt: skip


def _refusal(problems: list[str], expression: object, run_id: str | None, metric_code: str) -> RequestError:
    if problems:
        return RequestError(ErrorCode.CONFIG_ERROR, "; ".join(problems[:20]), run_id, metric_code)
    return RequestError(ErrorCode.EXPRESSION_EVAL_ERROR, str(expression), run_id, metric_code)


def _metric_code(fields: _Fields, attributes: Mapping[str, str]) -> str:
    code = attributes.get("metricCode") or fields.text("metricCode")
    if code and not _METRIC_CODE.fullmatch(code):
        fields.problems.append(f"metricCode {code[:100]!r} must be letters, digits and . _ : -, at most 200")
        return ""
    return code


def _inputs(items: Iterable[_Fields]) -> Iterator[SeriesInput]:
    for item in items:
        yield SeriesInput(item.text("datasetId"), item.text("seriesCode"))


def _datasets(fields: _Fields) -> Iterator[tuple[str, DatasetSource]]:
    for name, value in fields.raw.items():
        entry = fields.entry(name, value)
        yield name, DatasetSource(entry.text("manifestPath"), entry.text("projectionsPath"))


def _expression(fields: _Fields, limits: Limits) -> Expression | ExpressionError:
    kind = fields.text("expressionType")
    raw = fields.value("expressionJson")
    if not isinstance(raw, dict):
        fields.problems.append(f"expressionJson {_fault(raw, 'an object')}")
    try:
        return parse(raw, kind, limits)
    except ExpressionError as error:
        return error
