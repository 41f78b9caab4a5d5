"""Recorded answers of providers' APIs: replayed without a network, or written while the live source runs.

Owns the folder's form: ``<folder>/<provider>/<credential>/<name>.json`` (request, status, headers) and ``.body`` (the
answer's bytes). ``<credential>`` is a slow hash of the secret, so one tenant's recording never answers another's
request. Refuses to guess: a request that was not recorded is a NotFoundError, never an empty answer.
Requests carry no credentials, and of the answer's headers only those are kept that paging and decoding need.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from platform_assets.engine.errors import DataError, NotFoundError
from platform_assets.engine.ingestion.http import HttpRequest, HttpResponse, HttpSource
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.engine.spec import Spec
from platform_assets.ports import Secret
from platform_assets.resources.http.live import LiveHttp
from platform_assets.resources.http.live import Settings as LiveSettings
from platform_assets.resources.local_files import translated

_KEPT_HEADERS = ("content-type", "link", "retry-after")


class Settings(Spec):
    """``folder`` holds the recordings."""

    folder: Path


class RecordingSettings(Settings):
    """``live`` says how to reach the providers while recording."""

    live: LiveSettings = LiveSettings()


class RecordedHttp:
    """The HttpSources port from a folder of recordings."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.folder

    def open(self, provider: ProviderSpec, secret: Secret | None) -> HttpSource:
        """A source that answers what was recorded with the same credential."""
        return Replay(self._folder / provider.provider / _fingerprint(provider, secret))

    def close(self) -> None:
        """Nothing is held open."""


class RecordingHttp:
    """The live source, writing down every answer on its way."""

    def __init__(self, settings: RecordingSettings) -> None:
        self._folder = settings.folder
        self._live = LiveHttp(settings.live)

    def open(self, provider: ProviderSpec, secret: Secret | None) -> HttpSource:
        """The live source's errors; only proper answers are recorded."""
        folder = self._folder / provider.provider / _fingerprint(provider, secret)
        return Recorder(self._live.open(provider, secret), folder)

    def close(self) -> None:
        self._live.close()


class Recorder:
    """Passes requests on to ``source`` and keeps each answer; the newest of equal requests stays."""

    def __init__(self, source: HttpSource, folder: Path) -> None:
        self._source, self._folder = source, folder

    def send(self, request: HttpRequest) -> HttpResponse:
        response = self._source.send(request)
        self._folder.mkdir(parents=True, exist_ok=True)
        name = _name(request)
        about = {
            "request": _described(request),
            "status": response.status,
            "url": response.url,
            "headers": {k: v for k, v in response.headers.items() if k in _KEPT_HEADERS},
        }
        (self._folder / f"{name}.body").write_bytes(response.body)
        text = json.dumps(about, indent=2, ensure_ascii=False, sort_keys=True)
        (self._folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        return response


class Replay:
    """Answers from one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, request: HttpRequest) -> HttpResponse:
        """NotFoundError says which request has no recording; DataError where a recording is damaged."""
        place = self._folder / f"{_name(request)}.json"
        try:
            with translated(f"recording {place}"):
                text, body = place.read_bytes(), place.with_suffix(".body").read_bytes()
            about = json.loads(text)
            return HttpResponse(about["status"], about["headers"], body, about["url"])
        except NotFoundError:
            described = json.dumps(_described(request), ensure_ascii=False)
            raise NotFoundError(f"not recorded in {self._folder}: {described}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"recording {place} is damaged: {error}") from None


def _described(request: HttpRequest) -> dict[str, object]:
    """The request without its host: a recording made against a local server answers for the real one."""
    parts = urlsplit(request.url)
    params = [*parse_qsl(parts.query, keep_blank_values=True), *request.params]
    return {
        "method": request.method,
        "path": parts.path,
        "params": [f"{name}={value}" for name, value in sorted(params)],
        "json": request.json,
    }


def _name(request: HttpRequest) -> str:
    described = _described(request)
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]
    slug = re.sub(r"[^A-Za-z0-9]+", "-", str(described["path"])).strip("-")[-60:]
    return f"{slug}-{digest}"


def _fingerprint(provider: ProviderSpec, secret: Secret | None) -> str:
    if secret is None:
        return "public"
    salt = provider.provider.encode()
    return hashlib.scrypt(secret.reveal().encode(), salt=salt, n=2**14, r=8, p=1, dklen=8).hex()
