"""Objects in a Google Cloud Storage bucket: generations as versions, resumable streaming uploads, ranged reads.

The bucket must exist. Credentials are Google's application defaults. Versions (``etag``) are generation numbers,
which is what GCS compares. Source: Cloud Storage JSON API, "request preconditions", "retry strategy".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC
from functools import cached_property
from itertools import chain
from typing import Annotated, Any

from pydantic import Field

from platform_assets.engine.errors import (
    ConfigError,
    ConflictError,
    DataError,
    NotFoundError,
    RetryableError,
)
from platform_assets.engine.spec import Spec
from platform_assets.ports import ObjectInfo
from platform_assets.resources.google_errors import translate, translated
from platform_assets.resources.object_store.keys import check_key, check_prefix
from platform_assets.resources.object_store.parts import parts_of

_DELETE_BATCH = 100


class GcsObjectStoreSettings(Spec):
    """``endpoint`` is an emulator's URL: no credentials then. ``timeout_seconds`` bounds one request,
    ``deadline_seconds`` one call with its retries. ``part_bytes`` bounds the memory of one upload."""

    bucket: str
    prefix: Annotated[str, Field(pattern=r"^$|^[^/].*[^/]$|^[^/]$")] = ""
    project: str | None = None
    endpoint: str | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 60.0
    deadline_seconds: Annotated[float, Field(gt=0, le=600)] = 120.0
    part_bytes: Annotated[int, Field(ge=2**18, le=2**30, multiple_of=2**18)] = 16 * 2**20
    page_size: Annotated[int, Field(ge=1, le=1000)] = 1000


class GcsObjectStore:
    """See ``ports.ObjectStore``."""

    def __init__(self, settings: GcsObjectStoreSettings) -> None:
        self.settings = settings
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""

    def put(
        self, key: str, data: bytes | Iterable[bytes], *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        blob = self._blob(key)
        generation = _generation(key, if_absent, if_match)
        # A repeated conditional write would lose against its own first try, so those are not repeated.
        options = self._options(retry=generation is None) | {"if_generation_match": generation}
        parts = parts_of(data, self.settings.part_bytes)
        first, second = next(parts), next(parts, None)
        with _translated(f"object {key!r}"):
            if second is None:
                blob.upload_from_string(first, content_type="application/octet-stream", **options)
            else:
                blob.chunk_size = self.settings.part_bytes
                blob.upload_from_file(_Reader(chain((first, second), parts)), **options)
        return str(blob.generation)

    def get(self, key: str) -> bytes:
        blob = self._blob(key)
        with _translated(f"object {key!r}"):
            return bytes(blob.download_as_bytes(raw_download=True, **self._options()))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        from google.api_core.exceptions import RequestRangeNotSatisfiable

        if start < 0 or length < 0:
            raise DataError(f"object {key!r}: no range of {length} bytes at {start}")
        blob, end = self._blob(key), start + max(length, 1) - 1
        with _translated(f"object {key!r}"):
            try:
                data = blob.download_as_bytes(start=start, end=end, raw_download=True, **self._options())
            except RequestRangeNotSatisfiable:  # it starts past the end
                return b""
        return bytes(data[:length])

    def stat(self, key: str) -> ObjectInfo | None:
        blob = self._blob(key)
        try:
            with _translated(f"object {key!r}"):
                blob.reload(**self._options())
        except NotFoundError:
            return None
        return _info(key, blob)

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        return self._list(self._prefix + prefix, self._prefix + start_after if start_after else "")

    def delete(self, keys: Sequence[str]) -> None:
        blobs = [self._blob(key) for key in keys]
        for start in range(0, len(blobs), _DELETE_BATCH):
            self._delete(blobs[start : start + _DELETE_BATCH])

    def uri(self, key: str) -> tuple[str, Mapping[str, str]]:
        """``gs://`` and the options of Polars' reader; credentials come from the same chain as ours."""
        endpoint = self.settings.endpoint
        options = {"google_base_url": endpoint, "google_skip_signature": "true"} if endpoint else {}
        return f"gs://{self.settings.bucket}/{self._prefix}{check_key(key)}", options

    @cached_property
    def _bucket(self) -> Any:
        try:
            from google.auth.credentials import AnonymousCredentials
            from google.cloud import storage
        except ImportError as error:
            raise ConfigError("gcs: install it with: pip install google-cloud-storage") from error
        settings = self.settings
        with translated(f"bucket {settings.bucket!r}"):
            if settings.endpoint is None:
                client = storage.Client(project=settings.project)
            else:
                client = storage.Client(
                    project=settings.project or "emulator",
                    credentials=AnonymousCredentials(),
                    client_options={"api_endpoint": settings.endpoint},
                )
        # It fetches the bucket's metadata behind our back, for traces only, with a right that we need not have.
        client._bucket_metadata_cache = None
        return client.bucket(settings.bucket)

    def _blob(self, key: str) -> Any:
        return self._bucket.blob(self._prefix + check_key(key))

    def _options(self, retry: bool = True) -> dict[str, Any]:
        from google.cloud.storage.retry import DEFAULT_RETRY

        again = DEFAULT_RETRY.with_timeout(self.settings.deadline_seconds).with_delay(initial=0.2)
        return {"timeout": self.settings.timeout_seconds, "retry": again if retry else None}

    def _list(self, prefix: str, start_after: str) -> Iterator[ObjectInfo]:
        with _translated(f"list {prefix!r} in bucket {self.settings.bucket!r}"):
            blobs = self._bucket.client.list_blobs(
                self._bucket,
                prefix=prefix,
                start_offset=start_after or None,
                page_size=self.settings.page_size,
                fields="items(name,size,generation,updated),nextPageToken",
                **self._options(),
            )
            for blob in blobs:
                if blob.name != start_after:  # the offset itself is included
                    yield _info(blob.name[len(self._prefix) :], blob)

    def _delete(self, blobs: Sequence[Any]) -> None:
        from google.api_core.exceptions import from_http_response

        what = f"objects in bucket {self.settings.bucket!r}"
        batch = self._bucket.client.batch(raise_exception=False)
        with _translated(what), batch:
            for blob in blobs:
                blob.delete(timeout=self.settings.timeout_seconds)
        for answer in batch._responses:  # a batch answers 200 also where some of its parts failed
            if answer.status_code >= 400 and answer.status_code != 404:
                error = from_http_response(answer)
                raise (translate(error, what) or error) from error


@contextmanager
def _translated(what: str) -> Iterator[None]:
    with translated(what):
        try:
            yield
        except Exception as error:
            plain = _plain(error, what)
            if plain is error:
                raise
            raise plain from error


def _plain(error: BaseException, what: str) -> BaseException:
    """The storage client's own exceptions, which the other Google clients do not have, in their common form."""
    from google.api_core.exceptions import RetryError, from_http_response
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
    from urllib3.exceptions import HTTPError

    if isinstance(error, RetryError) and error.cause:
        return _plain(error.cause, what)
    if isinstance(error, InvalidResponse):
        return from_http_response(error.response)
    if isinstance(error, DataCorruption | HTTPError):
        return RetryableError(f"{what}: {error}", effect_unknown=True)
    return error


class _Reader:
    """A file of parts for Google's uploader, which reads as many bytes at a time as a part has."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._position = 0

    def read(self, _size: int = -1) -> bytes:
        part = next(self._parts, b"")
        self._position += len(part)
        return part

    def tell(self) -> int:
        return self._position


def _generation(key: str, if_absent: bool, if_match: str | None) -> int | None:
    """GCS's precondition: the generation that must be current, 0 meaning none."""
    if if_absent:
        return 0
    if if_match is None:
        return None
    if not if_match.isdecimal():
        raise ConflictError(f"object {key!r} never had a version {if_match!r}")
    return int(if_match)


def _info(key: str, blob: Any) -> ObjectInfo:
    return ObjectInfo(key, int(blob.size), str(blob.generation), blob.updated.astimezone(UTC))
