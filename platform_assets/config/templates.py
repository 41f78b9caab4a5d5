"""Request templates as text: which variables they use, found without the template engine where that is possible.

Most templates are nothing but known variables; loading the engine in every process for those would cost more than
all other checks of a pipeline. What is not that plain is left to ``engine.ingestion.variables``.
"""

from __future__ import annotations

import re
from functools import cache

from platform_assets.engine.ingestion.variables import (
    VARIABLE_NAMES,
    TemplateProblem,
    check_template,
    parameter_names,
)

_PARAMETER = r"parameters\.([A-Za-z_]\w*)"
_VARIABLE = "|".join((*VARIABLE_NAMES, _PARAMETER))
_PLAIN = re.compile(rf"[^{{]*(\{{\{{ *({_VARIABLE}) *\}}\}}[^{{]*)*")


@cache
def template_problems(text: str) -> tuple[TemplateProblem, ...]:
    """What is wrong with a template; empty when nothing is."""
    return () if _PLAIN.fullmatch(text) else check_template(text)


@cache
def template_parameters(text: str) -> tuple[str, ...]:
    """The ``parameters.<name>`` that a template without problems reads, sorted, each once."""
    if "parameters" not in text or "{" not in text:
        return ()
    if _PLAIN.fullmatch(text):
        return tuple(sorted(set(re.findall(_PARAMETER, text))))
    return () if template_problems(text) else parameter_names(text)
