"""OpenAI's usage, every endpoint, from the vendor's own samples to raw rows."""

import json
from datetime import UTC, date, datetime

import pytest

from platform_assets_tests.pipelines.bench import failed
from platform_assets_tests.pipelines.provider import Pages, pull_pages

DAY = date(2024, 11, 1)
WHO = {"project_id": "proj_abc", "user_id": "user-abc", "api_key_id": "key_abc"}
COMPLETIONS = {
    "input_tokens": 5000,
    "input_cached_tokens": 1800,
    "input_cache_write_tokens": 200,
    "input_uncached_tokens": 3000,
    "output_tokens": 1000,
    "input_text_tokens": 2500,
    "output_text_tokens": 800,
    "input_cached_text_tokens": 1500,
    "input_audio_tokens": 300,
    "input_cached_audio_tokens": 100,
    "output_audio_tokens": 100,
    "input_image_tokens": 200,
    "input_cached_image_tokens": 200,
    "output_image_tokens": 100,
    "num_model_requests": 5,
    **WHO,
    "model": "gpt-4o-mini-2024-07-18",
    "batch": False,
    "service_tier": "default",
}
IMAGES = {"images": 2, "num_model_requests": 2, "size": "1024x1024", "source": "image.generation", **WHO}
WEB = {"num_model_requests": 2, "num_requests": 2, **WHO, "model": "gpt-4o-mini", "context_level": "medium"}
# Endpoint → (the name in "object", which is not the path's; a result of the vendor's).
ENDPOINTS = {
    "completions": ("completions", COMPLETIONS),
    "embeddings": ("embeddings", {"input_tokens": 20, "num_model_requests": 2, **WHO, "model": "ada-002-v2"}),
    "moderations": ("moderations", {"input_tokens": 20, "num_model_requests": 2, **WHO, "model": "text-m"}),
    "images": ("images", {**IMAGES, "model": "dall-e-3"}),
    "audio_speeches": (
        "audio_speeches",
        {"characters": 45, "num_model_requests": 1, **WHO, "model": "tts-1"},
    ),
    "audio_transcriptions": (
        "audio_transcriptions",
        {"seconds": 10, "num_model_requests": 1, **WHO, "model": "tts-1"},
    ),
    "vector_stores": ("vector_stores", {"usage_bytes": 1024, "project_id": "proj_abc"}),
    "code_interpreter_sessions": ("code_interpreter_sessions", {"num_sessions": 1, "project_id": "proj_abc"}),
    "file_search_calls": ("file_searches", {"num_requests": 2, **WHO, "vector_store_id": "vs_abc"}),
    "web_search_calls": ("web_searches", WEB),
}


def page(name, *results, start=1730419200, token=None):
    found = [{"object": f"organization.usage.{name}.result", **result} for result in results]
    bucket = {"object": "bucket", "start_time": start, "end_time": start + 86400, "results": found}
    return json.dumps({"object": "page", "data": [bucket], "has_more": bool(token), "next_page": token})


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_every_endpoint_is_asked_for_and_read_whole(bench, httpserver, endpoint):
    name, result = ENDPOINTS[endpoint]
    pages = Pages([page(name, result, token="a"), page(name, {**result, "project_id": "other"})])
    stats = pull_pages(bench, httpserver, "openai_usage", endpoint, DAY, pages)
    path, query, _ = pages.asked[0]
    assert path == f"/organization/usage/{endpoint}"
    asked = dict(query)
    assert (asked["start_time"], asked["end_time"], asked["bucket_width"]) == (
        "1730419200",
        "1730505600",
        "1d",
    )
    dimensions = {value for key, value in query if key == "group_by[]"}
    assert dimensions >= {key for key, value in result.items() if isinstance(value, str)}
    assert (stats.records, stats.unknown_fields) == (2, {})
    rows = bench.rows(f"SELECT * FROM raw_openai.usage_{endpoint} ORDER BY project_id DESC")
    assert [{key: row[key] for key in result} for row in rows] == [result, {**result, "project_id": "other"}]


def test_no_dimension_need_be_told_and_new_fields_are_kept(bench, httpserver):
    bare = {"input_tokens": 7, "output_tokens": 1, "num_model_requests": 1}
    new = {**bare, "input_cache_write_30m_tokens": 3, "api_source": "agents_api"}
    pull_pages(bench, httpserver, "openai_usage", "completions", DAY, [page("completions", bare, new)])
    rows = bench.rows("SELECT model, project_id, x_extra FROM raw_openai.usage_completions")
    assert {row["model"] for row in rows} == {row["project_id"] for row in rows} == {None}
    assert {row["x_extra"] and json.loads(row["x_extra"])["api_source"] for row in rows} == {
        None,
        "agents_api",
    }
    bench.land("openai_usage", "embeddings", DAY, [])
    assert failed(bench.run("openai_usage", "to_token_usage", DAY)) == []


def test_a_bucket_of_another_day_is_refused(bench):
    usage = {**COMPLETIONS, "start_time": datetime(2024, 11, 2, tzinfo=UTC)}
    usage["end_time"] = datetime(2024, 11, 3, tzinfo=UTC)
    checks = bench.land("openai_usage", "completions", DAY, [usage])
    assert failed(checks) == ["expect_column_values_to_satisfy:start_time"]
