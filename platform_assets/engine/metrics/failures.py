"""Why a metric run failed: one error class per code. The code comes from the class, never from the text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import ClassVar

from platform_assets.engine.errors import ConfigError, PlatformError, RetryableError
from platform_assets.engine.expressions.faults import ExpressionError


class ErrorCode(StrEnum):
    """The codes of the completed event; the control plane and dashboards know them by these names."""

    INPUT_READ_ERROR = "INPUT_READ_ERROR"
    EXPRESSION_EVAL_ERROR = "EXPRESSION_EVAL_ERROR"
    OUTPUT_WRITE_ERROR = "OUTPUT_WRITE_ERROR"
    MANIFEST_VALIDATION_ERROR = "MANIFEST_VALIDATION_ERROR"
    CONFIG_ERROR = "CONFIG_ERROR"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class MetricError(PlatformError):
    """A failed step of a metric run. ``retryable``: the same run may succeed later."""

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL_ERROR

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class InputReadError(MetricError):
    """A series, file or manifest that an expression needs is not there or cannot be read."""

    code = ErrorCode.INPUT_READ_ERROR


class EvaluationError(MetricError):
    """The expression is wrong, or its evaluation failed."""

    code = ErrorCode.EXPRESSION_EVAL_ERROR


class OutputWriteError(MetricError):
    """The output could not be written."""

    code = ErrorCode.OUTPUT_WRITE_ERROR


class ManifestError(MetricError):
    """A data set's manifest is incomplete, or an output does not match its own manifest."""

    code = ErrorCode.MANIFEST_VALIDATION_ERROR


class RequestConfigError(MetricError):
    """The request lacks something or asks for what this deployment refuses."""

    code = ErrorCode.CONFIG_ERROR


@contextmanager
def failing_as(kind: type[MetricError], what: str) -> Iterator[None]:
    """Errors of the platform inside become ``kind``, their text behind ``what``; typed ones pass unchanged."""
    try:
        yield
    except MetricError:
        raise
    except PlatformError as error:
        raise kind(f"{what}: {error}", retryable=isinstance(error, RetryableError)) from error


def code_of(error: BaseException) -> ErrorCode:
    """The code of any error that ends a run."""
    match error:
        case MetricError():
            return error.code
        case ExpressionError():
            return ErrorCode.EXPRESSION_EVAL_ERROR
        case ConfigError():
            return ErrorCode.CONFIG_ERROR
    return ErrorCode.INTERNAL_ERROR
