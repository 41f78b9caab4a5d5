"""Other people's S3 buckets (data exports), read with the credential's own rights.

The secret is ``access_key_id:secret_access_key``; or the credential's parameter ``role_arn`` names a role that the
process assumes, with ``external_id`` where the role demands one; without both, the process's own identity is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platform_assets.engine.errors import AuthError
from platform_assets.ports import ObjectStore, Secret
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.aws_errors import translated
from platform_assets.resources.object_store.s3 import S3ObjectStore, S3ObjectStoreSettings


class S3SourceStoresSettings(AwsSettings):
    """Where AWS is. A credential's parameter ``region`` wins."""


class S3SourceStores:
    """See ``ports.SourceStores``."""

    def __init__(self, settings: S3SourceStoresSettings | None = None) -> None:
        self._settings = settings or S3SourceStoresSettings()

    def open(self, bucket: str, parameters: Mapping[str, Any], secret: Secret | None) -> ObjectStore:
        region = str(parameters.get("region") or self._settings.region)
        settings = S3ObjectStoreSettings(
            **{**self._settings.model_dump(), "region": region, "bucket": bucket}
        )
        keys = self._keys(parameters, secret)
        return S3ObjectStore(settings, client=connect("s3", settings, credentials=keys))

    def _keys(self, parameters: Mapping[str, Any], secret: Secret | None) -> dict[str, str]:
        """boto3's names for the credential; empty for the process's own identity."""
        if parameters.get("role_arn"):
            return self._assumed(str(parameters["role_arn"]), parameters.get("external_id"))
        if secret is None:
            return {}
        key_id, colon, key = secret.reveal().partition(":")
        if not (key_id and colon and key):
            raise AuthError("the secret must be access_key_id:secret_access_key")
        return {"aws_access_key_id": key_id, "aws_secret_access_key": key}

    def _assumed(self, role: str, external_id: Any) -> dict[str, str]:
        extra = {"ExternalId": str(external_id)} if external_id else {}
        with translated(f"role {role}"):
            answer = connect("sts", self._settings).assume_role(
                RoleArn=role, RoleSessionName="platform-assets", **extra
            )
        keys = answer["Credentials"]
        return {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        }
