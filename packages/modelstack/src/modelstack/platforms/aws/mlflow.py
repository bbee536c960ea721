"""An MLflow server by its URL, or one that SageMaker runs by its ARN.

    with mlflow("http://127.0.0.1:5000", os.environ, seconds=5) as api: ...
    with mlflow("arn:aws:sagemaker:us-east-1:111122223333:mlflow-app/app-AB12", os.environ, seconds=5) as api: ...

The address of the latter, and the signature of a request to it, are as in sagemaker-mlflow 0.5.0, AWS's plugin for
MLflow's own client.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import TYPE_CHECKING

from modelstack.records.tracking.api import Api, opened
from modelstack.records.tracking.connection import CALL_SECONDS, Authorize, HttpRequest, MlflowError, bearer
from modelstack.records.tracking.variables import KEYS

if TYPE_CHECKING:  # slow to load
    from modelstack.platforms.aws.clients import Clients

CUSTOM_ENDPOINT = "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT"
"""That plugin's variable for another address."""
ARN = re.compile(r"arn:(aws[a-z-]*):sagemaker:([a-z0-9-]+):(\d{12}):(mlflow-tracking-server|mlflow-app)/([\w-]+)")
_SERVICE, _WHICH, _HASH = "sagemaker-mlflow", "x-mlflow-sm-tracking-server-arn", "x-amz-content-sha256"
_SUFFIX = {"aws": "aws", "aws-cn": "com.cn"}
_FRESH = 300.0  # seconds after which a secret is read again: it may have been rotated


def mlflow(
    server: str, environ: Mapping[str, str], seconds: float, each: float = CALL_SECONDS
) -> AbstractContextManager[Api]:
    """MLflow's API for `seconds` in all, and `each` seconds a call.

    `environ` has token, or user and password, for a server; requests to a managed one are signed instead. Raises
    `MlflowError` without credentials to sign with.
    """
    url, authorize = signed(server, environ) if server.startswith("arn:") else (server, bearer(environ))
    return opened(url, authorize, seconds, each)


def signed(arn: str, environ: Mapping[str, str]) -> tuple[str, Authorize]:
    """The URL of a managed MLflow, and a function that signs requests with this process's credentials."""
    parts = ARN.fullmatch(arn)
    if parts is None:
        raise MlflowError(f"{arn!r} is no ARN of a tracking server or an app of MLflow")
    import boto3  # noqa: PLC0415 - of a managed one alone

    region = parts[2]
    session = boto3.Session(region_name=region)
    credentials = session.get_credentials()
    if credentials is None:
        raise MlflowError(f"there are no credentials of AWS, which a request to {arn} is signed with")

    def authorize(request: HttpRequest) -> dict[str, str]:
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - see above
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        headers = {_WHICH: arn, _HASH: hashlib.sha256(request.body).hexdigest()}
        asked = AWSRequest(request.method, request.url, headers=headers, data=request.body)
        SigV4Auth(credentials.get_frozen_credentials(), _SERVICE, region).add_auth(asked)
        return dict(asked.headers.items())

    return environ.get(CUSTOM_ENDPOINT) or address(parts[1], region, parts[4]), authorize


def address(partition: str, region: str, kind: str) -> str:
    """The address of the tracking servers, or the apps, of a region."""
    suffix = _SUFFIX.get(partition, "aws")
    if kind == "mlflow-app":
        return f"https://mlflow.sagemaker.{region}.app.{suffix}"
    return f"https://{region}.experiments.sagemaker.{suffix}"


def credentials(clients: Clients, secret: str) -> Mapping[str, str]:
    """The environment, overridden by the keys of a secret; `MlflowError` if it is no JSON object."""
    return {**os.environ, **(_read(clients, secret, int(time.monotonic() // _FRESH)) if secret else {})}


@lru_cache(maxsize=4)
def _read(clients: Clients, secret: str, _: int) -> Mapping[str, str]:
    text = clients("secretsmanager").get_secret_value(SecretId=secret).get("SecretString", "")
    try:
        held = json.loads(text)
    except ValueError:
        held = None
    if not isinstance(held, dict):  # what could not be read is secret, and in no message
        raise MlflowError(f"the secret {secret} is no JSON object with {', '.join(KEYS)}")
    return {variable: str(held[key]) for key, variable in KEYS.items() if key in held}
