"""What a notification says: subject, text, HTML and fields, from the default or a named template.

Templates are Jinja in a sandbox; HTML is autoescaped, so nothing that a pipeline, a provider or a tenant says can be
markup. A template that names an unknown variable is refused when it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.notifications.events import Severity
from platform_assets.engine.notifications.occurrence import Job, Occurrence

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

VARIABLES = (
    "subject",
    "message",
    "severity",
    "event",
    "tenant",
    "pipeline_id",
    "run_id",
    "at",
    "details",
    "sections",
    "occurrences",
    "repeats",
    "escalates",
)
_TEXT = """\
{{ message }}
{%- for o in occurrences if occurrences | length > 1 %}
- {{ o.at.strftime("%H:%M") }} {{ o.title }}: {{ o.message }}
{%- endfor %}
{%- for heading, lines in sections %}

{{ heading }}
{%- for line in lines %}
- {{ line }}
{%- endfor %}
{%- endfor %}
{%- if repeats %}

This may repeat an earlier message: what sent it did not live to say whether it was taken.
{%- endif %}"""
_HTML = """\
<h2>{{ subject }}</h2>
<p style="white-space: pre-wrap">{{ message }}</p>
{%- if occurrences | length > 1 %}
<ul>
{%- for o in occurrences %}
<li>{{ o.at.strftime("%H:%M") }} <b>{{ o.title }}</b>: {{ o.message }}</li>
{%- endfor %}
</ul>
{%- endif %}
{%- for heading, lines in sections %}
<h3>{{ heading }}</h3>
<ul>
{%- for line in lines %}
<li>{{ line }}</li>
{%- endfor %}
</ul>
{%- endfor %}
{%- if repeats %}
<p><i>This may repeat an earlier message: what sent it did not live to say whether it was taken.</i></p>
{%- endif %}"""


@dataclass(frozen=True)
class Template:
    """Jinja sources; what is None is the default."""

    text: str | None = None
    html: str | None = None


@dataclass(frozen=True)
class Message:
    """A rendered notification, whoever carries it. ``html`` is safe as it is."""

    subject: str
    text: str
    html: str
    severity: Severity
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TemplateProblem:
    """Why a template cannot be used, and the nearest name that could stand there."""

    line: int
    reason: str
    nearest: str | None = None


NO_TEMPLATES: Mapping[str, Template] = MappingProxyType({})


def render(
    jobs: Sequence[Job], severity: Severity, template: Template | None = None, *, repeats: bool = False
) -> Message:
    """One message for one job, or for a batch. ConfigError where the template fails with these values."""
    template = template or Template()
    occurrences = [job.occurrence for job in jobs]
    first = occurrences[0]
    subject = first.title if len(jobs) == 1 else f"{len(jobs)} × {str(first.event).replace('_', ' ')}"
    message = (
        first.message if len(jobs) == 1 else f"{len(jobs)} notifications in one, from {first.at:%H:%M} UTC on"
    )
    if jobs[0].escalates:
        subject = f"Not acknowledged: {subject}"
    variables = {
        "subject": subject,
        "message": message,
        "severity": str(severity),
        "event": str(first.event),
        "tenant": first.tenant,
        "pipeline_id": first.pipeline_id,
        "run_id": first.run_id,
        "at": first.at,
        "details": first.details,
        "sections": [section for o in occurrences for section in o.sections],
        "occurrences": occurrences,
        "repeats": repeats,
        "escalates": jobs[0].escalates,
    }
    text = _rendered(template.text or _TEXT, variables, html=False)
    html = _rendered(template.html or _HTML, variables, html=True)
    return Message(subject, text, html, severity, _fields(first, len(jobs)))


def check_template(source: str) -> tuple[TemplateProblem, ...]:
    """What is wrong with a template; empty when nothing is."""
    from jinja2 import TemplateSyntaxError, meta

    try:
        tree = _environment(html=False).parse(source)
    except TemplateSyntaxError as error:
        return (TemplateProblem(error.lineno, f"the template is malformed: {error.message}"),)
    unknown = sorted(meta.find_undeclared_variables(tree) - set(VARIABLES))
    return tuple(
        TemplateProblem(_line(source, name), f"unknown variable {name!r}", _nearest(name)) for name in unknown
    )


def _nearest(name: str) -> str | None:
    close = get_close_matches(name, VARIABLES, n=1)
    return close[0] if close else None


def _line(source: str, name: str) -> int:
    return source[: source.find(name)].count("\n") + 1


def _fields(o: Occurrence, count: int) -> dict[str, str]:
    """What every notification shows. A batch shows what its members share."""
    shared = {"Event": str(o.event), "Tenant": o.tenant, "Time": f"{o.at:%Y-%m-%d %H:%M:%S} UTC"}
    if count > 1:
        return shared
    own = {"Pipeline": o.pipeline_id, "Run": o.run_id, "Alert": o.rule_id, "Summary": o.summary_id}
    return shared | {name: value for name, value in own.items() if value} | dict(o.details)


def _rendered(source: str, variables: Mapping[str, Any], *, html: bool) -> str:
    try:
        return _environment(html=html).from_string(source).render(variables)
    except Exception as error:  # an expression in a template can raise anything
        raise ConfigError(f"the notification template cannot be rendered: {error}") from None


@cache
def _environment(*, html: bool) -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    return SandboxedEnvironment(undefined=StrictUndefined, autoescape=html)
