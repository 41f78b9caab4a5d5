"""Service C and later (G2 and newer): ``<provider>/<domain>/<pipeline>.yml``, steps with a ``ps_type``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from platform_assets.config.document import Location
from platform_assets.config.historic import apis, order, quality, queries
from platform_assets.config.historic.model import WAITS, Keys, Old
from platform_assets.config.historic.ps_types import (
    PROCEDURES,
    PS_TYPES,
    ByPlatform,
    Refused,
    Shipped,
    Translated,
)
from platform_assets.config.historic.words import request_text
from platform_assets.config.historic.writing import Folder, derived_schema, identifier, schedule
from platform_assets.config.reading import nearest

_BY_ITSELF = {
    "timeout_minutes": "is not kept; the longest time of runs is the Dagster instance's to say",
    "timeout_seconds": "is not kept; the longest time of runs is the Dagster instance's to say",
    "retry_attempts": "a provider's retries stand in its file",
    "version": "the configuration's version is its commit",
    "requires_auth": "there is no HTTP interface to authorize",
    "auth_type": "there is no HTTP interface to authorize",
    "category": "the folder says it",
    "output_tables": "the steps' destinations say it",
    "integration_required": "what a pipeline needs follows from what it reads",
    "notifications": "configs/notifications/config.json says who is told",
}
_STEP_BY_ITSELF = {
    **{key: _BY_ITSELF[key] for key in ("timeout_minutes", "timeout_seconds")},
    "retry": "a provider's retries stand in its file",
    "metadata": "run history has every step's rows, times and errors",
    "fail_on_error": WAITS,
}
_SHIPPED_APIS = {"/aggregated/instances": "gcp_instances", "/v1/billingAccounts": "gcp_billing_accounts"}
_ON_FAILURE = ("stop", "alert", "continue")


def translate(old: Old, known: apis.KnownProviders) -> None:
    top = old.keys(old.document.value, ())
    parts = Path(old.document.file).with_suffix("").parts
    provider = identifier(top.text("provider") or (parts[-3] if len(parts) > 2 else "platform"))
    domain = identifier(top.text("domain") or (parts[-2] if len(parts) > 1 else "ingestion"))
    name = identifier(top.need("pipeline_id"))
    name = name if "{" not in str(top.value.get("pipeline_id")) else f"{provider}_{identifier(parts[-1])}"
    texts = {key: top.text(key) for key in ("description", "name")}
    head: dict[str, Any] = {"description": texts["description"] or texts["name"]}
    head |= schedule(old, top.value.get("schedule"), ("schedule",))
    if tags := top.texts("tags"):
        head["tags"] = {identifier(tag): "true" for tag in tags}
    top.taken.add("schedule")
    folder = Folder.of(old, base="pipelines", provider=provider, domain=domain, name=name, head=head)
    constants = top.mapping("variables").value | _defaults(top)
    per_minute = top.take("rate_limit_per_minute", int, 0)
    top.drop(_BY_ITSELF)
    steps = order.sorted_steps(old, list(top.mappings("steps")))
    top.end()
    work = _Work(folder, known, constants, per_minute)
    for step in steps:
        work.step(step)
    if folder.steps or old.refused or not work.answered:
        folder.finish()


def _defaults(top: Keys) -> dict[str, Any]:
    value = top.value.get("parameters") or {}
    top.taken.add("parameters")
    if isinstance(value, list):
        return {p.text("name"): p.value.get("default") for p in top.mappings("parameters")}
    return dict(top.mapping("parameters").value)


class _Work:
    def __init__(
        self, folder: Folder, known: apis.KnownProviders, constants: Mapping[str, Any], per_minute: int
    ) -> None:
        self.folder, self.known, self.constants, self.per_minute = folder, known, constants, per_minute
        self.old = folder.old
        self.answered = 0  # steps that something else does

    def step(self, step: Keys) -> None:
        step_id, ps_type = identifier(step.need("step_id")), step.need("ps_type")
        if not step.take("enabled", bool, True):
            step.taken.update(step.value)
            self.answered += 1
            return self.old.remark((*step.at, "enabled"), f"{step_id} is left out: it is not enabled")
        description = step.text("description") or step.text("name")
        step.taken.update(("name", "description"))
        step.drop(_STEP_BY_ITSELF)
        self._failure(step)
        answer = PS_TYPES.get(ps_type)
        if answer is None:
            at = (*step.at, "ps_type")
            return self.old.refuse(at, f"there is no {ps_type!r}", nearest(ps_type, PS_TYPES))
        self._answer(step, step_id, description, answer)
        return None

    def _failure(self, step: Keys) -> None:
        step.taken.update(("on_failure", "trigger"))
        word = step.value.get("on_failure", "stop")
        if isinstance(word, Mapping):  # shipped so by the third generation, and refused by its own model
            self.old.remark((*step.at, "on_failure"), f"is a mapping; read as {word.get('action', 'stop')!r}")
            word = word.get("action", "stop")
        if word not in _ON_FAILURE:
            self.old.refuse((*step.at, "on_failure"), f"must be stop, alert or continue, not {word!r}")
        elif word != "stop":
            self.old.remark((*step.at, "on_failure"), WAITS)

    def _answer(self, step: Keys, step_id: str, description: str, answer: Any) -> None:
        if isinstance(answer, Translated):
            return _TRANSLATORS[answer.how](self, step, step_id, description)
        step.taken.update(step.value)
        at = (*step.at, "ps_type")
        if isinstance(answer, Refused):
            return self.old.refuse(at, answer.why)
        if isinstance(answer, ByPlatform):
            self.answered += 1
            return self.old.remark(at, f"no step is needed: {answer.how}")
        return self._shipped(at, answer)

    def _shipped(self, at: Location, answer: Shipped) -> None:
        self.answered += 1
        self.old.replaced_by += answer.pipelines
        which = (
            f"shipped pipelines do it: {', '.join(answer.pipelines)}"
            if answer.pipelines
            else "nothing to add"
        )
        self.old.remark(at, which + (f" ({answer.note})" if answer.note else ""))

    # --- steps that become ours ---

    def procedure(self, step: Keys, step_id: str, description: str) -> None:
        config = step.mapping("config")
        given = step.mapping("procedure") if step.has("procedure") else config.mapping("procedure")
        name = given.text("name") or str(config.value.get("procedure_name", ""))
        step.taken.update(step.value)
        at = (*step.at, "ps_type")
        if name in PROCEDURES:
            return self._shipped(at, Shipped(PROCEDURES[name], f"in place of {name}"))
        return self.old.refuse(at, _NO_STEP.format(name or "(unnamed)"), nearest(name, PROCEDURES))

    def query(self, step: Keys, step_id: str, description: str) -> None:
        """A query on another project's tables. Billing exports have a pipeline of their own."""
        source = _merged(step, "source", "config")
        text = source.text("query")
        full = ".".join(
            p for p in (source.text("project_id"), source.text("dataset"), source.text("table")) if p
        )
        source.drop({"use_org_credentials": "a credential's own service account reads its source"})
        step.taken.update(("destination", "variables", "config", "source"))
        if "gcp_billing_export" in f"{text}{full}":
            source.taken.update(source.value)
            self.old.remark(source.at, "set parameters.billing_export_table of the tenant's gcp credential")
            return self._shipped((*step.at, "ps_type"), Shipped(("gcp_billing",)))
        source.end()
        reason = "the old form has no schema for its table; write the step as an ingest with source type sql"
        return self.old.refuse((*step.at, "ps_type"), reason)

    def api(self, step: Keys, step_id: str, description: str) -> None:
        keys = _merged(step, "source", "config")
        auth = apis.auth(keys.mapping("auth"))
        defaults = {"token_path": "meta.next_cursor", "param": "cursor", "size_param": "limit"}
        self._rest(step, keys, step_id, description, self.folder.head["provider"], auth, defaults)

    def google_api(self, step: Keys, step_id: str, description: str) -> None:
        keys = _merged(step, "source", "config")
        url = _url(keys)
        shipped = next((pipeline for end, pipeline in _SHIPPED_APIS.items() if url.endswith(end)), None)
        if shipped:
            step.taken.update(step.value)
            return self._shipped((*step.at, "ps_type"), Shipped((shipped,)))
        host = url.partition("://")[2].partition(".")[0]
        auth = {"type": "google_service_account"}
        defaults = {"token_path": "nextPageToken", "param": "pageToken", "size_param": "pageSize"}
        return self._rest(step, keys, step_id, description, identifier(f"gcp_{host}"), auth, defaults)

    def _rest(
        self,
        step: Keys,
        keys: Keys,
        step_id: str,
        description: str,
        provider: str,
        auth: dict[str, Any],
        defaults: Mapping[str, str],
    ) -> None:
        url, unknown = request_text(_url(keys), self.constants)
        for word in unknown:
            self.old.refuse(keys.at, f"nothing fills {{{word}}}")
        rate = keys.mapping("rate_limit")
        per_minute = rate.take("requests_per_second", int, 0) * 60 or rate.take("requests_per_minute", int, 0)
        settings = {"auth": auth} | apis.limits(
            per_minute or self.per_minute, rate.take("max_retries", int, 0), keys.take("timeout", int, 0)
        )
        rate.end()
        source = self._source(keys, url, provider, settings, defaults)
        destination = self._destination(step, keys)
        keys.text("provider")
        keys.end()
        if provider != self.folder.head["provider"]:
            self._move(provider)
        self.folder.steps.append(
            {"step_id": step_id, "type": "ingest", "description": description}
            | {"source": source, "destination": destination}
        )
        step.taken.update(("source", "config", "destination", "variables"))
        step.end()

    def _source(
        self, keys: Keys, url: str, provider: str, settings: Mapping[str, Any], defaults: Mapping[str, str]
    ) -> dict[str, Any]:
        paged = keys.mapping("pagination")
        size_param = paged.value.get("page_size_param") or defaults["size_param"]
        size = paged.value.get("page_size") or paged.value.get("limit")
        pages = apis.pagination(paged, defaults)
        params = apis.params(keys.mapping("params"), self.constants)
        if size and pages["type"] in ("cursor", "page_token"):
            params.setdefault(size_param, size)
        data_path = keys.text("data_path", "data")
        found = {
            "type": "rest_api",
            "path": apis.provider_path(self.old, keys.at, provider, url, self.known, settings),
            "method": keys.text("method", "GET"),
            "params": params,
            "pagination": pages,
            "records_path": f"{data_path}[]",
        }
        if "/aggregated/" in url:
            found["decoder"] = "aggregated_list"
        return {key: value for key, value in found.items() if value not in ({}, "GET")}

    def _destination(self, step: Keys, keys: Keys) -> dict[str, Any]:
        """The raw table: the keys as columns, the whole rest of a record in ``x_extra``."""
        told = step.mapping("destination") if step.has("destination") else keys.mapping("destination")
        keys.taken.add("destination")
        table = f"raw_{self.folder.head['provider']}.{identifier(told.need('table'))}"
        names = told.texts("key_fields")
        told.drop(
            {
                "batch_size": "a slice is loaded as a whole",
                "write_mode": "a run replaces its day",
                "partition_field": "tables are partitioned by ingestion_date",
                "dataset": "tables stand in the tenant's own datasets",
            }
        )
        told.end()
        transform = keys.mapping("transform")
        if transform.has("add_fields"):
            self.old.remark(
                (*transform.at, "add_fields"), "constant fields are for the SQL that reads the table"
            )
        transform.taken.update(("flatten", "add_fields"))
        transform.end()
        columns: list[dict[str, Any]] = [{"name": name, "type": "STRING"} for name in names]
        columns.append(
            {"name": "x_extra", "type": "JSON", "description": "All fields of the record without a column."}
        )
        file = self.folder.add_schema(f"{table.partition('.')[2]}_schema.json", columns, table, told.at)
        return {"table": table, "schema_file": file, "write": "replace"}

    def _move(self, provider: str) -> None:
        """A Google API is a provider of its own, since its address and scopes are."""
        if self.folder.steps:
            return self.old.refuse(("steps",), "calls several APIs; write a pipeline for each")
        before = self.folder.path
        self.folder.path = before.replace(f"/{self.folder.head['provider']}/", f"/{provider}/", 1)
        self.folder.head["provider"] = provider
        for name in [n for n in self.old.files if n.startswith(f"{before}/")]:
            self.old.files[self.folder.path + name.removeprefix(before)] = self.old.files.pop(name)
        return None

    def transform(self, step: Keys, step_id: str, description: str) -> None:
        told, at = step.mapping("transformation"), (*step.at, "transformation", "sql")
        told.text("type")
        destination = step.mapping("destination")
        table = f"silver_{self.folder.head['domain']}.{identifier(destination.need('table'))}"
        destination.drop({"mode": "a run replaces its day", "write_mode": "a run replaces its day"})
        destination.end()
        translated = queries.query(
            told.need("sql"),
            {"project": "", "project_id": "", "gcp_project_id": ""},
            self.constants,
            self._own,
        )
        told.end()
        step.taken.update(("transformation", "destination", "variables", "config"))
        step.end()
        for problem in translated.problems:
            self.old.refuse(at, problem)
        if translated.sql is not None:
            sql = self.folder.own_day(translated.sql, at)
            columns = derived_schema(self.folder, sql, f"{step_id}.sql", at)
            self.folder.add_transform(step_id, sql, table, columns, at)

    def _own(self, name: str) -> str | None:
        """A table that this pipeline fills, by the last part of its name."""
        last = identifier(name.rpartition(".")[2])
        return next((table for table in self.folder.tables if table.rpartition(".")[2] == last), None)

    def rules(self, step: Keys, step_id: str, description: str) -> None:
        name = step.need("dq_config")
        given = step.mapping("source").text("table") or step.mapping("destination").text("table")
        step.taken.update(step.value)
        table = self._own(given) if given else next(iter(reversed(self.folder.tables)), None)
        beside = (self.old.root / self.old.document.file).parent
        document = self.old.other_document(name, (*step.at, "dq_config"), beside) if name else None
        if table is None:
            self.old.refuse(step.at, f"judges {given or 'a table'}, which no step before it fills")
        elif document is not None:
            stops = step.value.get("on_failure", "stop") == "stop"
            self.folder.suites[table] = quality.suite(self.old, document, table, stops=stops)


def _merged(step: Keys, *names: str) -> Keys:
    """What the old processors looked for in either of two mappings."""
    merged: dict[str, Any] = {}
    for name in reversed(names):
        merged |= step.mapping(name).value
    return Keys(step.old, merged, (*step.at, next((n for n in names if step.has(n)), names[0])))


def _url(keys: Keys) -> str:
    """``url``, or ``api`` (a host or an address) with ``endpoint``."""
    url, base, endpoint = keys.text("url"), keys.text("api") or keys.text("base_url"), keys.text("endpoint")
    keys.taken.update(("api", "base_url"))
    url = url or (f"{base.rstrip('/')}/{endpoint.lstrip('/')}" if base else endpoint)
    if not re.match(r"https?://", url):
        url = f"https://{url}"
    return url


_TRANSLATORS: Mapping[str, Callable[[_Work, Keys, str, str], None]] = {
    "api": _Work.api,
    "google_api": _Work.google_api,
    "query": _Work.query,
    "transform": _Work.transform,
    "rules": _Work.rules,
    "procedure": _Work.procedure,
}
_NO_STEP = (
    "procedure {} is not one of service C's, and no pipeline runs a procedure: a step fills a slice, which is checked"
    " before it is published and replaced when it runs again. Write what fills a table as a transform, and what changes"
    " rows as a procedure (configs/procedures) that is run on purpose"
)
