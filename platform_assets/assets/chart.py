"""A small chart as a Markdown image, which Dagster shows beside a materialization's other metadata."""

import base64
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def bar_chart(title: str, bars: Mapping[tuple[str, str], Decimal], most: int = 10) -> str:
    """The largest amounts as horizontal bars (SVG). ``bars``: (currency, name) → amount; labels carry the currency."""
    largest = sorted(bars.items(), key=lambda bar: (-abs(bar[1]), bar[0]))[:most]
    chart = _pygal().HorizontalBar(
        show_legend=False, width=640, height=80 + 26 * len(largest), js=[], print_values=True
    )
    chart.title = title
    chart.x_labels = [f"{name} {currency}".strip() for (currency, name), _ in reversed(largest)]
    chart.add("", [float(amount) for _, amount in reversed(largest)], formatter=lambda v: f"{v:,.2f}")
    image = base64.b64encode(chart.render(disable_xml_declaration=True).encode()).decode()
    return f"![{title}](data:image/svg+xml;base64,{image})"


def _pygal() -> Any:
    import pygal

    # Its hook for plugins, of which we have none, is of a kind that Python 3.11 warns of at every later import.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]
    return pygal
