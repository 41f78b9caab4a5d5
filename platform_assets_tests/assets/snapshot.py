"""The reviewed shape of the asset graph. ``make snapshot`` writes it anew after a wanted change."""

import json
from pathlib import Path
from typing import Any

import dagster as dg

SNAPSHOT = Path(__file__).with_name("asset_graph.json")


def graph_of(defs: dg.Definitions) -> dict[str, dict[str, Any]]:
    """Asset key → what it depends on, its group, and how many checks it has."""
    graph = defs.resolve_asset_graph()
    nodes = ((key, graph.get(key)) for key in sorted(graph.get_all_asset_keys()))
    return {
        key.to_user_string(): {
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "group": node.group_name,
            "checks": len(node.check_keys),
        }
        for key, node in nodes
    }


def main() -> None:
    from platform_assets.definitions import defs

    SNAPSHOT.write_text(json.dumps(graph_of(defs), indent=1) + "\n")


if __name__ == "__main__":
    main()
