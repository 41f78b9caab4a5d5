"""Service E's README: ``pipelines/<id>.yml`` with steps ingest, dq_check and transform, which name other files."""

from __future__ import annotations

import re
from typing import Any

from platform_assets.config.document import Location
from platform_assets.config.historic import apis, quality, queries
from platform_assets.config.historic.model import WAITS, Keys, Old
from platform_assets.config.historic.writing import Folder, derived_schema, identifier, read_columns, schedule

_LAYERED = re.compile(r"(?:silver|gold)_(\w+)\.")
_GOES_ON = ("alert", "continue")


def translate(old: Old, known: apis.KnownProviders) -> None:
    top = old.keys(old.document.value, ())
    steps = list(top.mappings("steps"))
    sources = {id(step): _source(old, step) for step in steps if step.value.get("type") == "ingest"}
    folder = Folder.of(
        old,
        base="pipelines",
        provider=next((identifier(s.text("domain")) for s in sources.values() if s), "platform"),
        domain=next(
            (m[1] for s in steps if (m := _LAYERED.match(str(s.value.get("destination"))))), "ingestion"
        ),
        name=identifier(top.need("pipeline_id")),
        head={"description": top.text("description")}
        | schedule(old, top.value.get("schedule"), ("schedule",)),
    )
    top.taken.add("schedule")
    top.end()
    for step in steps:
        kind = step.need("type")
        if kind == "ingest":
            _ingest(folder, step, sources[id(step)], known)
        elif kind == "transform":
            _transform(folder, step)
        elif kind == "dq_check":
            _rules(folder, step)
        else:
            old.refuse((*step.at, "type"), f"must be ingest, dq_check or transform, not {kind!r}")
    folder.finish()


def _goes_on(step: Keys, *, told: bool) -> bool:
    word = step.text("on_failure", "stop")
    if word not in ("stop", *_GOES_ON):
        step.old.refuse((*step.at, "on_failure"), f"must be stop, alert or continue, not {word!r}")
    if word in _GOES_ON and told:
        step.old.remark((*step.at, "on_failure"), WAITS)
    return word in _GOES_ON


# --- ingest -------------------------------------------------------------------------------------------


def _source(old: Old, step: Keys) -> Keys | None:
    """The source file of an ingest step, as an old document of its own."""
    name = step.need("source_config")
    document = old.other_document(name, (*step.at, "source_config"), old.root) if name else None
    if document is None:
        return None
    source = Old(old.root, document, old.shape, remarks=old.remarks, refused=old.refused)
    return source.keys(document.value, ())


def _ingest(folder: Folder, step: Keys, source: Keys | None, known: apis.KnownProviders) -> None:
    step_id = identifier(step.need("name"))
    step.take("type", str, "")
    _goes_on(step, told=True)
    step.end()
    if source is None:
        return
    source.text("source_id")
    description = source.text("description")
    provider = folder.head["provider"]
    rest = _connector(folder, source.mapping("connector"), provider, known)
    destination = _loading(folder, source.mapping("loading"))
    source.end()
    folder.steps.append(
        {
            "step_id": step_id,
            "type": "ingest",
            "description": description,
            "source": rest,
            "destination": destination,
        }
    )


def _connector(folder: Folder, keys: Keys, provider: str, known: apis.KnownProviders) -> dict[str, Any]:
    old, kind = keys.old, keys.need("type")
    if kind != "rest_api":
        reason = f"a {kind!r} connector names no query and no files in this form; write the step anew"
        old.refuse((*keys.at, "type"), reason)
        return {}
    rate = keys.mapping("rate_limit")
    per_minute = rate.take("requests_per_minute", int, 0)
    rate.drop({"requests_per_hour": "only requests per minute are limited here"})
    rate.end()
    settings = {"auth": apis.auth(keys.mapping("auth"))} | apis.limits(
        per_minute, 0, keys.take("timeout", int, 0)
    )
    url = keys.need("base_url").rstrip("/") + keys.need("endpoint")
    defaults = {"token_path": "next_page_token", "param": "page_token"}
    pages = apis.pagination(keys.mapping("pagination"), defaults)
    params = apis.params(keys.mapping("params"), {})
    keys.end()
    old.remark((*keys.at, "endpoint"), "the old form does not say where records stand; data[] is assumed")
    path = apis.provider_path(folder.old, ("steps",), provider, url, known, settings)
    found = {
        "type": "rest_api",
        "path": path,
        "params": params,
        "pagination": pages,
        "records_path": "data[]",
    }
    return {key: value for key, value in found.items() if value != {}}


_WRITES = {"overwrite": "replace", "merge": "merge", "append": "append"}


def _loading(folder: Folder, keys: Keys) -> dict[str, Any]:
    old, table, strategy = keys.old, keys.need("destination"), keys.text("strategy", "append")
    wanted = keys.texts("merge_keys") or keys.texts("keys")
    keys.taken.update(("merge_keys", "keys"))
    if strategy not in _WRITES:
        old.refuse((*keys.at, "strategy"), f"{strategy!r} is not done here; {', '.join(_WRITES)} are")
    if strategy == "append" and not wanted:
        old.remark(
            (*keys.at, "strategy"), "append without keys doubles rows; each run replaces its day instead"
        )
        strategy = "overwrite"
    partition = keys.text("partition_field", "ingestion_date")
    if partition != "ingestion_date":
        old.remark((*keys.at, "partition_field"), "tables are partitioned by ingestion_date")
    found: dict[str, Any] = {"table": table, "schema_file": _schema(folder, keys, table)}
    found |= {"write": _WRITES.get(strategy, "replace")} | (
        {"keys": wanted} if strategy in ("merge", "append") else {}
    )
    if cluster := keys.texts("cluster_fields"):
        found["cluster_by"] = cluster[:4]
    keys.end()
    return found


def _schema(folder: Folder, keys: Keys, table: str) -> str:
    at: Location = (*keys.at, "schema_file")
    name = keys.need("schema_file")
    text = keys.old.other_text(name, at, keys.old.root) if name else None
    columns = read_columns(keys.old, text, at) if text else []
    return folder.add_schema(f"{table.partition('.')[2]}_schema.json", columns, table, at)


# --- transform, dq_check ------------------------------------------------------------------------------


def _transform(folder: Folder, step: Keys) -> None:
    step_id, table = identifier(step.need("name")), step.need("destination")
    step.take("type", str, "")
    _goes_on(step, told=True)
    at: Location = (*step.at, "sql_file")
    text = step.old.other_text(step.need("sql_file"), at, step.old.root) if step.has("sql_file") else None
    step.taken.add("sql_file")
    step.end()
    if text is None:
        return step.old.refuse(at, "is missing") if not step.has("sql_file") else None
    translated = queries.query(text, {}, {}, lambda name: name if name in folder.tables else None)
    for problem in translated.problems:
        step.old.refuse(at, problem)
    if translated.sql is None:
        return None
    sql = folder.own_day(translated.sql, at)
    folder.add_transform(step_id, sql, table, derived_schema(folder, sql, f"{step_id}.sql", at), at)
    return None


def _rules(folder: Folder, step: Keys) -> None:
    table, name = step.need("target_table"), step.need("rules_config")
    step.text("name")
    step.take("type", str, "")
    stops = not _goes_on(step, told=False)
    step.end()
    if table not in folder.tables:
        step.old.refuse((*step.at, "target_table"), f"{table!r} is filled by no step before this one")
    document = step.old.other_document(name, (*step.at, "rules_config"), step.old.root) if name else None
    if document is not None:
        folder.suites[table] = quality.suite(step.old, document, table, stops=stops)
