"""Objects in an S3 bucket: conditional PUT, streaming multipart uploads, paged listing, ranged reads.

The bucket must exist. Directory buckets do not list in key order and are therefore no home for this store.
Sources: S3 API reference; user guide, "conditional writes" and "multipart upload limits".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import chain
from typing import Annotated, Any

from pydantic import Field

from platform_assets.engine.errors import (
    ConflictError,
    DataError,
    NotFoundError,
    RejectedError,
    RetryableError,
)
from platform_assets.ports import ObjectInfo
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.aws_errors import code_of, translated
from platform_assets.resources.object_store.keys import check_key, check_prefix
from platform_assets.resources.object_store.parts import parts_of

_DELETE_BATCH = 1000
_READ_ATTEMPTS = 3


class S3ObjectStoreSettings(AwsSettings):
    """``prefix`` (``a/b``) is put before every key. ``part_bytes`` bounds the memory of one upload."""

    bucket: str
    prefix: Annotated[str, Field(pattern=r"^$|^[^/].*[^/]$|^[^/]$")] = ""
    part_bytes: Annotated[int, Field(ge=5 * 2**20, le=2**30)] = 16 * 2**20
    page_size: Annotated[int, Field(ge=1, le=1000)] = 1000


class S3ObjectStore:
    """See ``ports.ObjectStore``."""

    def __init__(self, settings: S3ObjectStoreSettings, *, client: Any = None) -> None:
        self.settings = settings
        if client is not None:  # another account's, for reading somebody's bucket
            self.__dict__["_client"] = client
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""

    @cached_property
    def _client(self) -> Any:
        return connect("s3", self.settings)

    def put(
        self, key: str, data: bytes | Iterable[bytes], *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        target = self._target(key)
        parts = parts_of(data, self.settings.part_bytes)
        first, second = next(parts), next(parts, None)
        with self._writing(key, if_absent, if_match) as condition:
            if second is None:
                return _etag(self._client.put_object(**target, **condition, Body=first))
            return self._put_parts(key, chain((first, second), parts), if_match, condition)

    def get(self, key: str) -> bytes:
        return self._read(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        if start < 0 or length < 0:
            raise DataError(f"object {key!r}: no range of {length} bytes at {start}")
        # A range of no bytes cannot be asked for; asking for one tells whether the object is there.
        try:
            return self._read(key, Range=f"bytes={start}-{start + max(length, 1) - 1}")[:length]
        except RejectedError as error:
            if _code(error) == "InvalidRange":  # it starts past the end
                return b""
            raise

    def stat(self, key: str) -> ObjectInfo | None:
        target = self._target(key)
        try:
            with translated(f"object {key!r}"):
                answer = self._client.head_object(**target)
        except NotFoundError:
            return None
        except RejectedError as error:
            if _code(error) == "400":  # no reason is given to HEAD, for example for an expired token
                self._read(key, Range="bytes=0-0")
            raise
        return ObjectInfo(key, answer["ContentLength"], _etag(answer), answer["LastModified"])

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        return self._list(self._prefix + prefix, self._prefix + start_after if start_after else "")

    def delete(self, keys: Sequence[str]) -> None:
        names = [{"Key": self._target(key)["Key"]} for key in keys]
        what = f"objects in bucket {self.settings.bucket!r}"
        for start in range(0, len(names), _DELETE_BATCH):
            batch = {"Objects": names[start : start + _DELETE_BATCH], "Quiet": True}
            with translated(what):
                answer = self._client.delete_objects(Bucket=self.settings.bucket, Delete=batch)
                _raise_first(answer.get("Errors", []))

    def uri(self, key: str) -> tuple[str, Mapping[str, str]]:
        """``s3://`` and the options of Polars' S3 reader; credentials come from the same chain as ours."""
        settings = self.settings
        options = {"aws_region": settings.region}
        if settings.endpoint_url:
            plain = settings.endpoint_url.startswith("http://")
            options |= {"aws_endpoint_url": settings.endpoint_url, "aws_allow_http": str(plain).lower()}
        return f"s3://{settings.bucket}/{self._target(key)['Key']}", options

    def _target(self, key: str) -> dict[str, str]:
        return {"Bucket": self.settings.bucket, "Key": self._prefix + check_key(key)}

    @contextmanager
    def _writing(self, key: str, if_absent: bool, if_match: str | None) -> Iterator[dict[str, str]]:
        """Yields the write's condition. A lost condition is a ConflictError, unless an earlier try of the
        same request may have won it: botocore retries, and cannot know."""
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        condition |= {} if if_match is None else {"IfMatch": f'"{if_match}"'}
        try:
            with translated(f"object {key!r}"):
                yield condition
        except ConflictError as error:
            if condition and _was_retried(error):
                raise RetryableError(
                    f"{error} (perhaps by our own first try)", effect_unknown=True
                ) from error
            raise
        except NotFoundError as error:
            if if_match is not None and _code(error) in {"NoSuchKey", "404"}:
                raise ConflictError(f"object {key!r} does not exist any more") from error
            raise

    def _put_parts(
        self, key: str, parts: Iterable[bytes], if_match: str | None, condition: Mapping[str, str]
    ) -> str:
        target = self._target(key)
        self._check_version(key, if_match)
        upload = target | {"UploadId": self._client.create_multipart_upload(**target)["UploadId"]}
        try:
            done = [
                {
                    "PartNumber": number,
                    "ETag": self._client.upload_part(**upload, PartNumber=number, Body=part)["ETag"],
                }
                for number, part in enumerate(parts, 1)
            ]
            answer = self._client.complete_multipart_upload(
                **upload, **condition, MultipartUpload={"Parts": done}
            )
        except BaseException:
            with suppress(Exception):  # what is left of it, the bucket's lifecycle rule removes
                self._client.abort_multipart_upload(**upload)
            raise
        return _etag(answer)

    def _check_version(self, key: str, if_match: str | None) -> None:
        """Before a long upload: the condition is checked again, atomically, when it completes."""
        current = self.stat(key) if if_match is not None else None
        if if_match is not None and (current is None or current.etag != if_match):
            raise ConflictError(f"object {key!r} is not at version {if_match!r} any more")

    def _read(self, key: str, **extra: str) -> bytes:
        """botocore retries requests but not the reading of a body, which may break off as well."""
        target = self._target(key)
        for attempt in range(1, _READ_ATTEMPTS + 1):
            with translated(f"object {key!r}"):
                body = self._client.get_object(**target, **extra)["Body"]
            try:
                with translated(f"object {key!r}"):
                    return bytes(body.read())
            except RetryableError:
                if attempt == _READ_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def _list(self, prefix: str, start_after: str) -> Iterator[ObjectInfo]:
        paginator = self._client.get_paginator("list_objects_v2")
        pages = paginator.paginate(
            Bucket=self.settings.bucket,
            Prefix=prefix,
            StartAfter=start_after,
            PaginationConfig={"PageSize": self.settings.page_size},
        )
        with translated(f"list {prefix!r} in bucket {self.settings.bucket!r}"):
            for page in pages:
                for item in page.get("Contents", []):
                    key = item["Key"][len(self._prefix) :]
                    yield ObjectInfo(key, item["Size"], _etag(item), item["LastModified"])


def _etag(answer: Mapping[str, Any]) -> str:
    return str(answer["ETag"]).strip('"')


def _code(error: BaseException) -> str:
    return code_of(error.__cause__) if hasattr(error.__cause__, "response") else ""


def _was_retried(error: BaseException) -> bool:
    response = getattr(error.__cause__, "response", {})
    return int(response.get("ResponseMetadata", {}).get("RetryAttempts", 0)) > 0


def _raise_first(errors: Sequence[Mapping[str, str]]) -> None:
    """A batch answers 200 also where some of its keys failed."""
    from botocore.exceptions import ClientError

    for error in errors:
        raise ClientError({"Error": {"Code": error["Code"], "Message": error["Key"]}}, "DeleteObjects")
