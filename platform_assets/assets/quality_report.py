"""A run's data quality as one page per tenant in the object store: ``reports/quality/<tenant>/<run>.html``.

Owns that a page stays of moderate size: every check of the first slices, and of all further ones only what failed.
A page is for people; the truth is ``metadata.dq_results``, so a store that refuses it does not fail the run.
"""

import logging
from collections.abc import Callable

from platform_assets.assets.outcomes import PartOutcome, SliceOutcome
from platform_assets.engine.errors import PlatformError
from platform_assets.engine.quality.report import SliceReport, html
from platform_assets.ports import ObjectStore

LOGGER = logging.getLogger(__name__)
WHOLE_SLICES = 50


def report_key(tenant: str, run_id: str) -> str:
    """Where a run's page about one tenant is kept."""
    return f"reports/quality/{tenant}/{run_id}.html"


class QualityReports:
    """Collects what audits found during one run, and writes the pages when it ends, however it ends."""

    def __init__(self, store: Callable[[], ObjectStore], run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self._found: dict[str, list[SliceReport]] = {}

    def __enter__(self) -> "QualityReports":
        return self

    def __exit__(self, *_: object) -> None:
        for tenant in sorted(self._found):
            self._write(tenant)

    def add(self, outcome: SliceOutcome) -> None:
        """What the audits of one slice found, writer by writer."""
        for part in outcome.parts:
            if part.audited.checks:
                reports = self._found.setdefault(outcome.key.tenant, [])
                reports.append(_shortened(_report(outcome, part), len(reports)))

    def address(self, tenant: str) -> str:
        """Where the tenant's page will be, as the store names it."""
        return self._store().uri(report_key(tenant, self._run_id))[0]

    def _write(self, tenant: str) -> None:
        page = html(self._found[tenant], f"Data quality of {tenant}, run {self._run_id}")
        try:
            self._store().put(report_key(tenant, self._run_id), page.encode())
        except PlatformError as error:
            LOGGER.warning("the quality report of %s is not written: %s", tenant, error)


def _report(outcome: SliceOutcome, part: PartOutcome) -> SliceReport:
    who = f" ({part.pipeline_id}{f', {part.credential}' if part.credential else ''})"
    return SliceReport(
        outcome.key.tenant,
        f"{outcome.table}{who}",
        outcome.key.day,
        part.audited.checks,
        part.audited.failing_rows,
        part.audited.history,
    )


def _shortened(report: SliceReport, already: int) -> SliceReport:
    return report if already < WHOLE_SLICES else report.without_passed()
