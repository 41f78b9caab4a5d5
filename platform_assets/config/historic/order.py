"""The order of old steps: ``depends_on`` as people meant it.

Absent means after the step before; ``[]`` at once; a text is a list of one. Unknown and doubled ids and circles are
refused. Here, tables decide what waits for what, so the order only says in which sequence steps are written down.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from platform_assets.config.historic.model import Keys, Old
from platform_assets.config.reading import nearest


def sorted_steps(old: Old, steps: list[Keys]) -> list[Keys]:
    """The steps with each after those that it depends on; as they stand where that cannot be."""
    ids = [step.text("step_id") for step in steps]
    graph: dict[str, list[str]] = {}
    for index, (step, step_id) in enumerate(zip(steps, ids, strict=True)):
        if step_id in graph:
            old.refuse((*step.at, "step_id"), f"{step_id!r} is the id of steps[{ids.index(step_id)}] too")
        before = (
            ids[index - 1 : index] if index and "depends_on" not in step.value else step.texts("depends_on")
        )
        step.taken.add("depends_on")
        for name in before:
            if name not in ids:
                old.refuse((*step.at, "depends_on"), f"there is no step {name!r}", nearest(name, ids))
        graph[step_id] = [name for name in before if name in ids]
    try:
        ranks = {name: rank for rank, name in enumerate(TopologicalSorter(graph).static_order())}
    except CycleError as error:
        old.refuse(("steps",), f"steps wait for one another in a circle: {' -> '.join(error.args[1])}")
        return steps
    return sorted(steps, key=lambda step: ranks[step.text("step_id")])
