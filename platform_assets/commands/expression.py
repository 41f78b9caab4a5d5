"""``platform-assets expression``: check, explain and evaluate a metric's expression without a deployment.

FILE is a metric's YAML, a request's JSON, or a bare expression as JSON or YAML; ``-`` reads standard input. The kind
of a bare expression shows in its fields.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from platform_assets.engine.expressions.nodes import Expression
    from platform_assets.engine.expressions.series import Chunk

_KINDS = {"series": "window_op", "operands": "composite", "left": "series_math", "right": "series_math"}
_SPELLINGS = (
    ("expression_type", "expression"),
    ("expressionType", "expressionJson"),
    ("expression_type", "expression_json"),
)


@dataclass(frozen=True)
class Evaluation:
    """A result's rows, and how many input rows lost against a later one of their timestamp, by series."""

    rows: Chunk
    duplicates: Mapping[str, int]


def read_expression(text: str, kind: str | None = None) -> Expression:
    """Any of the forms of FILE → expression. DataError where it is neither JSON nor YAML; ExpressionError with all
    faults where it is no expression."""
    from platform_assets.engine.expressions.grammar import parse

    document = _document(text)
    found_kind, raw = _kind_and_expression(document)
    return parse(raw, kind or found_kind)


def evaluate_files(expression: Expression, files: Mapping[str, Path]) -> Evaluation:
    """Evaluate over local Parquet or CSV files with the columns ``obs_time`` and ``value``, one per series.

    A column ``internal_series_code`` selects the series' own rows. DataError names the file.
    """
    from platform_assets.engine.expressions.evaluate import evaluate_whole
    from platform_assets.engine.expressions.series import tidy

    tidied = {code: tidy(*_read_columns(path, code)) for code, path in sorted(files.items())}
    rows = evaluate_whole(expression, {code: chunk for code, (chunk, _) in tidied.items()})
    return Evaluation(rows, {code: lost for code, (_, lost) in tidied.items()})


def _document(text: str) -> Any:
    import yaml

    from platform_assets.engine.errors import DataError

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"neither JSON nor YAML: {error}") from error


def _kind_and_expression(document: Any) -> tuple[str, Any]:
    if isinstance(document, dict):
        for kind, expression in _SPELLINGS:
            if expression in document:
                return str(document.get(kind, "")), document[expression]
        return next((kind for field, kind in _KINDS.items() if field in document), "series_math"), document
    return "series_math", document


def _read_columns(path: Path, code: str) -> tuple[Any, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    from platform_assets.engine.errors import DataError
    from platform_assets.engine.metrics.columns import to_times, to_values
    from platform_assets.engine.metrics.parquet_file import CODE, TIME, VALUE

    try:
        table = _read_table(path)
        if CODE in table.column_names:
            table = table.filter(pc.equal(table.column(CODE), code))
        columns = [table.column(name).combine_chunks() for name in (TIME, VALUE)]
        return to_times(columns[0]), to_values(columns[1])
    except (pa.ArrowException, KeyError, OSError, DataError) as error:
        raise DataError(f"{path}: {error}") from error


def _read_table(path: Path) -> Any:
    if path.suffix == ".csv":
        from pyarrow import csv

        return csv.read_csv(path)
    import pyarrow.parquet as pq

    return pq.read_table(path, partitioning=None)


# --- Commands -------------------------------------------------------------------------------------------


@click.group()
def expression() -> None:
    """Metric expressions: check, explain, evaluate."""


_file = click.argument("file", type=click.File("r", encoding="utf-8"))
_kind = click.option(
    "--type",
    "kind",
    type=click.Choice(["series_math", "window_op", "composite"]),
    help="The kind of a bare expression.  [default: by its fields]",
)


@expression.command()
@_file
@_kind
def check(file: Any, kind: str | None) -> None:
    """Tell every fault of an expression with its position. Exit code 1 where there is one."""
    from platform_assets.engine.expressions.explain import formula

    click.echo(f"ok: {formula(_parsed(file, kind))}")


@expression.command()
@_file
@_kind
def explain(file: Any, kind: str | None) -> None:
    """Show an expression as a tree, each operation with its meaning, and the series it reads."""
    from platform_assets.engine.expressions.explain import explain as explained
    from platform_assets.engine.expressions.nodes import series_codes

    parsed = _parsed(file, kind)
    click.echo(explained(parsed))
    click.echo(f"reads: {', '.join(series_codes(parsed))}")


@expression.command("eval")
@_file
@_kind
@click.option(
    "--series",
    "given",
    multiple=True,
    metavar="CODE=PATH",
    help="A series' Parquet or CSV file. May be repeated.",
)
@click.option("--tail", type=click.IntRange(min=1), help="Show the last rows only.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write Parquet, or JSON Lines (.jsonl)."
)
def eval_(file: Any, kind: str | None, given: Sequence[str], tail: int | None, output: Path | None) -> None:
    """Evaluate an expression over local files; JSON Lines to standard output, unless --output is given."""
    from platform_assets.engine.expressions.nodes import series_codes

    parsed = _parsed(file, kind)
    files = _series_files(given, series_codes(parsed))
    result = evaluate_files(parsed, files)
    for code, lost in result.duplicates.items():
        if lost:
            click.echo(f"{code}: {lost} rows lost against a later one of their timestamp", err=True)
    rows = _last(result.rows, tail)
    written = _encoded(rows, output)
    if output:
        output.write_bytes(written)
        click.echo(f"wrote {len(rows):,} rows to {output}", err=True)
    else:
        click.echo(written.decode(), nl=False)


def _parsed(file: Any, kind: str | None) -> Expression:
    from platform_assets.engine.errors import DataError
    from platform_assets.engine.expressions.faults import ExpressionError

    try:
        return read_expression(file.read(), kind)
    except ExpressionError as error:
        for fault in error.faults:
            click.echo(f"{file.name}: {fault}", err=True)
    except (DataError, UnicodeDecodeError) as error:
        click.echo(f"{file.name}: {error}", err=True)
    sys.exit(1)


def _series_files(given: Sequence[str], codes: Sequence[str]) -> dict[str, Path]:
    files = {code: Path(path) for code, _, path in (text.partition("=") for text in given)}
    missing = [code for code in codes if code not in files or files[code] == Path()]
    if missing:
        raise click.UsageError(
            "give a file for each series: " + " ".join(f"--series {c}=PATH" for c in missing)
        )
    return {code: files[code] for code in codes}


def _last(rows: Chunk, count: int | None) -> Chunk:
    from platform_assets.engine.expressions.series import Chunk

    return Chunk(rows.times[-count:], rows.values[-count:]) if count else rows


def _encoded(rows: Chunk, output: Path | None) -> bytes:
    from platform_assets.engine.metrics.output import Tally, encode
    from platform_assets.engine.metrics.settings import Compression, OutputFormat

    parquet = output is not None and output.suffix != ".jsonl"
    form = OutputFormat.PARQUET if parquet else OutputFormat.JSONL
    return b"".join(encode([rows] if len(rows) else [], Tally(), form, Compression.SNAPPY))
