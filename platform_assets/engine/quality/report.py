"""A run's data quality for people: one Markdown or HTML page, worst first.

Pure text from outcomes and samples; personal data is masked already where the samples are taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from html import escape
from typing import Any

from platform_assets.engine.quality.model import CheckOutcome, Severity
from platform_assets.engine.quality.plot import Point, history_svg
from platform_assets.engine.quality.results import observed_text, plain

Rows = Sequence[Mapping[str, Any]]
_ORDER = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


@dataclass(frozen=True)
class SliceReport:
    """What was found in one slice. ``samples``: check id → failing rows, as ``rows.compile_samples`` gives them;
    ``history``: check id → earlier results and this one; ``untold``: how many passed checks were left out."""

    tenant: str
    table: str
    run_date: date | None
    outcomes: tuple[CheckOutcome, ...]
    samples: Mapping[str, Rows] = field(default_factory=dict)
    history: Mapping[str, Sequence[Point]] = field(default_factory=dict)
    untold: int = 0

    @property
    def checks(self) -> int:
        return len(self.outcomes) + self.untold

    def without_passed(self) -> SliceReport:
        """The same with nothing but the number of what passed."""
        return replace(self, outcomes=self.failed, untold=self.checks - len(self.failed))

    @property
    def failed(self) -> tuple[CheckOutcome, ...]:
        """Failed checks, worst first."""
        return tuple(sorted((o for o in self.outcomes if not o.success), key=_rank))

    @property
    def title(self) -> str:
        return f"{self.tenant} · {self.table} · {self.run_date or 'whole table'}"


def _rank(outcome: CheckOutcome) -> tuple[int, str]:
    return _ORDER[outcome.severity], outcome.expectation_id


def state(outcome: CheckOutcome) -> str:
    """In one word: passed, failed, or error where the check itself broke."""
    if outcome.error:
        return "error"
    return "passed" if outcome.success else "failed"


def found(outcome: CheckOutcome) -> str:
    """What was found, in a few words: ``3 of 120 rows (2.5 %)``, or the observed value."""
    if outcome.error:
        return outcome.error
    if outcome.element_count is None:
        return observed_text(outcome.observed_value) or "–"
    percent = "" if outcome.unexpected_percent is None else f" ({outcome.unexpected_percent:.4g} %)"
    missing = f", {outcome.missing_count} missing" if outcome.missing_count else ""
    return f"{outcome.unexpected_count} of {outcome.element_count} rows{percent}{missing}"


def samples_by_check(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of a samples query, grouped by the check that they break; columns without a value are left out."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        shown = {name: value for name, value in row.items() if name != "failed_check"}
        grouped.setdefault(row["failed_check"], []).append(shown)
    return grouped


# --- Markdown ---------------------------------------------------------------------------------------------------


def markdown(reports: Sequence[SliceReport], title: str = "Data quality") -> str:
    """The whole page. Cells never break the table, whatever the data holds."""
    lines = [f"# {_cell(title)}", "", *_markdown_summary(reports)]
    for report in (r for r in reports if r.outcomes):
        lines += ["", f"## {_cell(report.title)}", "", *_markdown_slice(report)]
    return "\n".join(lines) + "\n"


def _markdown_summary(reports: Sequence[SliceReport]) -> list[str]:
    rows = [[r.title, r.checks, len(r.failed), _worst(r)] for r in reports]
    return markdown_table(["slice", "checks", "failed", "worst"], rows)


def _worst(report: SliceReport) -> str:
    return report.failed[0].severity.value if report.failed else "–"


def _markdown_slice(report: SliceReport) -> Iterator[str]:
    ordered = [*report.failed, *(o for o in report.outcomes if o.success)]
    rows = [[state(o), o.severity.value, o.expectation_id, o.column or "", found(o)] for o in ordered]
    yield from markdown_table(["state", "severity", "check", "column", "found"], rows)
    for outcome in report.failed:
        yield from _markdown_failure(outcome, report.samples.get(outcome.expectation_id, ()))


def _markdown_failure(outcome: CheckOutcome, rows: Rows) -> Iterator[str]:
    yield from ("", f"### {_cell(outcome.expectation_id)}", "")
    if outcome.details:
        yield from (_cell(observed_text(outcome.details) or ""), "")
    if rows:
        yield from markdown_table(list(rows[0]), [list(row.values()) for row in rows])
    if outcome.sql:
        yield from ("", "```sql", outcome.sql.replace("```", "` ` `"), "```")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of a Markdown table; values are written as text and kept inside their cells."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(_cell(value) for value in line) + " |" for line in lines]


def _cell(value: Any) -> str:
    text = "∅" if value is None else str(plain(value))
    return (
        escape(text, quote=False)
        .replace("\\", "\\\\")
        .replace("|", "\\|")
        .replace("\n", " ")
        .replace("\r", " ")
    )


# --- HTML -------------------------------------------------------------------------------------------------------

_STYLE = (
    "body{font:14px system-ui;margin:2em;max-width:80em}table{border-collapse:collapse;margin:.5em 0}"
    "td,th{border:1px solid #ccc;padding:.25em .6em;text-align:left;vertical-align:top}"
    ".failed,.error{color:#c62828}.passed{color:#2e7d32}pre{background:#f5f5f5;padding:.6em;overflow:auto}"
)


def html(reports: Sequence[SliceReport], title: str = "Data quality") -> str:
    """The same page as one HTML file that needs nothing else."""
    body = "".join(_html_slice(report) for report in reports if report.outcomes)
    rows = [[r.title, r.checks, len(r.failed), _worst(r)] for r in reports]
    summary = _html_table(["slice", "checks", "failed", "worst"], rows)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{summary}{body}</body></html>\n"
    )


def _html_slice(report: SliceReport) -> str:
    ordered = [*report.failed, *(o for o in report.outcomes if o.success)]
    rows = "".join(_html_outcome(o, report.history.get(o.expectation_id, ())) for o in ordered)
    head = (
        "<tr><th>state</th><th>severity</th><th>check</th><th>column</th><th>found</th><th>history</th></tr>"
    )
    failures = "".join(_html_failure(o, report.samples.get(o.expectation_id, ())) for o in report.failed)
    return f"<h2>{escape(report.title)}</h2><table>{head}{rows}</table>{failures}"


def _html_outcome(outcome: CheckOutcome, history: Sequence[Point]) -> str:
    cells = [outcome.severity.value, outcome.expectation_id, outcome.column or "", found(outcome)]
    rest = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
    picture = history_svg(history, outcome.expectation_id) if len(history) > 1 else ""
    return f'<tr><td class="{state(outcome)}">{state(outcome)}</td>{rest}<td>{picture}</td></tr>'


def _html_failure(outcome: CheckOutcome, rows: Rows) -> str:
    details = f"<p>{escape(observed_text(outcome.details) or '')}</p>" if outcome.details else ""
    sample = _html_table(list(rows[0]), [list(row.values()) for row in rows]) if rows else ""
    sql = f"<pre>{escape(outcome.sql)}</pre>" if outcome.sql else ""
    return (
        f"<details open><summary>{escape(outcome.expectation_id)}</summary>{details}{sample}{sql}</details>"
    )


def _html_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{_text(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _text(value: Any) -> str:
    return "∅" if value is None else escape(str(plain(value)))
