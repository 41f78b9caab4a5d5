"""``dq.yml``: which table is held to which expectations. Read by ``suite``, compiled by ``audit``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from platform_assets.engine.spec import Spec

LogicalTable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$")]


class SuiteSpec(Spec):
    """The expectations of one logical table, each ``{type, …arguments, severity, mostly, row_condition}``;
    ``suite.parse_suite`` reads them against the table's schema."""

    table: LogicalTable
    description: str = ""
    expectations: Annotated[list[dict[str, Any]], Field(min_length=1)]


class DqFile(Spec):
    suites: Annotated[list[SuiteSpec], Field(min_length=1)]
