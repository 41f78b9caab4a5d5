"""Google's REST APIs: a service account's token, paging, items by zone."""

import base64
import json
import re
from datetime import date
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from werkzeug import Response

from platform_assets.engine.errors import AuthError
from platform_assets.engine.ingestion.http import HttpRequest
from platform_assets.engine.ingestion.spec import GoogleAuth, ProviderSpec
from platform_assets.ports import Secret
from platform_assets.resources.http.live import LiveHttp, Settings
from platform_assets_tests.pipelines import bench as module
from platform_assets_tests.pipelines.provider import Pages

DAY = date(2026, 11, 1)


@pytest.fixture(scope="module")
def key():
    """A key made for this test, as Google's JSON, with line ends in it."""
    private = rsa.generate_private_key(65537, 2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    info = {"type": "service_account", "client_email": "reader@p.iam", "private_key": pem.decode()}
    return json.dumps({**info, "private_key_id": "k", "project_id": "p"}, indent=2)


def provider(url):
    auth = GoogleAuth(type="google_service_account", scopes=["scope-a", "scope-b"], token_url=f"{url}token")
    return ProviderSpec(provider="g", display_name="G", base_url=url.rstrip("/"), auth=auth)


def test_a_signed_assertion_becomes_a_token_that_is_used_again(httpserver, key):
    forms = []

    def token(request):
        forms.append(parse_qs(request.get_data(as_text=True)))
        return Response(json.dumps({"access_token": "short-lived", "expires_in": 3600}))

    httpserver.expect_request("/token", method="POST").respond_with_handler(token)
    httpserver.expect_request("/x", headers={"Authorization": "Bearer short-lived"}).respond_with_data("{}")
    source = LiveHttp(Settings(allow_loopback=True)).open(provider(httpserver.url_for("/")), Secret(key))
    for _ in range(2):
        assert source.send(HttpRequest("GET", httpserver.url_for("/x"))).status == 200
    [form] = forms
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = form["assertion"][0].split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert (told["iss"], told["scope"]) == ("reader@p.iam", "scope-a scope-b")
    assert (told["aud"], told["exp"] - told["iat"]) == (httpserver.url_for("/token"), 3600)


@pytest.mark.parametrize("text", ["not json", "[]", "{}", '{"client_email": "e", "private_key": "no key"}'])
def test_a_secret_that_is_no_key_is_refused_without_showing_it(httpserver, text):
    http = LiveHttp(Settings(allow_loopback=True))
    with pytest.raises(AuthError) as raised:
        source = http.open(provider(httpserver.url_for("/")), Secret(text))
        source.send(HttpRequest("GET", httpserver.url_for("/x")))
    assert "no key" not in str(raised.value)


# --- Pipelines ----------------------------------------------------------------------------------------


@pytest.fixture
def google(bench, httpserver, key, monkeypatch):
    """A bench with a service account's key for a secret, and an endpoint that gives tokens for it."""
    monkeypatch.setattr(module, "SECRET", key)
    told = json.dumps({"access_token": "t", "expires_in": 3600})
    httpserver.expect_request("/token", method="POST").respond_with_data(told)
    return bench


def run(bench, httpserver, pipeline, name, pages, **parameters):
    handler = Pages([json.dumps(page) for page in pages])
    httpserver.expect_request(re.compile("/v1/.*|/compute/.*")).respond_with_handler(handler)
    bench.provider_url = httpserver.url_for("")
    specs = module.configuration().providers
    name_of = module.step(pipeline, name).provider
    auth = specs[name_of].auth.model_copy(update={"token_url": httpserver.url_for("/token")})
    bench.providers = {**specs, name_of: specs[name_of].model_copy(update={"auth": auth})}
    bench.run(pipeline, name, DAY, **parameters)
    return handler.asked


def test_instances_of_every_zone_keep_their_zone(google, httpserver):
    first = {
        "items": {
            "zones/us-central1-a": {
                "instances": [{"id": "1", "name": "a", "status": "RUNNING", "labels": {"k": "v"}}]
            },
            "zones/us-central1-b": {"warning": {"code": "NO_RESULTS_ON_PAGE"}},
        },
        "nextPageToken": "more",
    }
    second = {
        "items": {"zones/europe-west1-b": {"instances": [{"id": "2", "name": "a", "tags": {"items": ["x"]}}]}}
    }
    asked = run(google, httpserver, "gcp_instances", "instances", [first, second], project="acme-prod")
    assert [dict(query).get("pageToken") for _, query, _ in asked] == [None, "more"]
    assert asked[0][0] == "/compute/v1/projects/acme-prod/aggregated/instances"
    rows = google.rows("SELECT id, name, zone, x_extra FROM raw_gcp.instances ORDER BY id")
    assert [(r["id"], r["zone"]) for r in rows] == [("1", "us-central1-a"), ("2", "europe-west1-b")]
    assert json.loads(rows[1]["x_extra"]) == {"tags": {"items": ["x"]}}


def test_billing_accounts_page_by_page(google, httpserver):
    account = {"name": "billingAccounts/A", "open": True, "displayName": "Main", "currencyCode": "EUR"}
    pages = [
        {"billingAccounts": [account], "nextPageToken": "t"},
        {"billingAccounts": [{**account, "name": "billingAccounts/B"}], "nextPageToken": ""},
    ]
    run(google, httpserver, "gcp_billing_accounts", "billing_accounts", pages)
    rows = google.rows("SELECT name AS n, currency_code AS c FROM raw_gcp.billing_accounts ORDER BY 1")
    assert [(r["n"], r["c"]) for r in rows] == [("billingAccounts/A", "EUR"), ("billingAccounts/B", "EUR")]
