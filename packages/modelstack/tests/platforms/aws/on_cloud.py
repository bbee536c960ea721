"""One endpoint on a running local cloud: releases with set behaviour, and a constant load that counts lost requests."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localcloud.testing import MODEL_SERVER
from modelstack.platforms.aws.clients import clients
from tests.platforms.load import RATE, Asked, Load

REGION, ACCOUNT = "us-east-1", "000000000000"
SERVICES = ("cloudwatch", "dynamodb", "iam", "lambda", "s3", "sagemaker", "sagemaker-runtime", "sns", "sqs")
DECLARED = {"kind": "classification", "classes": [False, True], "decision": "late", "probability": "probability"}
"""The form of the served model's predictions."""
PREDICTION = '{"predictions": [{"late": true, "probability": 0.9}]}'
BODY = b'{"instances": [{"distance": 1400.0}]}'
MODEL_ERROR = 424
"""The HTTP status of SageMaker's answer when the container's was none of 2XX."""


def point_at(cloud: Any, patch: pytest.MonkeyPatch) -> None:
    """Point this process at a cloud, with root's keys."""
    for name, value in cloud.environment().items():
        patch.setenv(name, value)


def configured(folder: Path, server: Path = MODEL_SERVER) -> Path:
    """A localcloud.toml by which every serving image runs a model server; the tiny one where none is named."""
    toml = folder / "localcloud.toml"
    command = json.dumps([sys.executable, str(server), "serve"])
    toml.write_text(f'[[image]]\nrepository = "*-serving"\ncommand = {command}\n')
    return toml


class Clients:
    """The product's own clients, made once for all stages of a cloud: making one takes long, and is not thread-safe."""

    def __init__(self) -> None:
        session = boto3.Session(region_name=REGION)  # with the keys that the environment has, as the product's
        self.make = clients(REGION, session)
        for service in SERVICES:
            self.make(service)
        self.asking = urllib3.connection_from_url(
            os.environ["AWS_ENDPOINT_URL"], maxsize=50, retries=False, timeout=urllib3.Timeout(connect=60, read=70)
        )
        """Asks endpoints, each request once: nothing that gets lost is hidden by a retry."""


class EndpointLoad(Load):
    """A constant load on one endpoint, or one variant of it.

    Its requests differ only by their ids, so they are signed once: boto3 takes five times as long for each.
    """

    def __init__(
        self,
        pool: urllib3.HTTPConnectionPool,
        endpoint: str,
        rate: float = RATE,
        target: str | None = None,
        workers: int = 2,
    ) -> None:
        super().__init__(self._once, endpoint, rate, workers)
        self._pool, self._path = pool, f"/endpoints/{endpoint}/invocations"
        self._headers = _signed(pool, self._path, target)

    def _once(self, name: str) -> Asked:
        at = time.time()
        try:
            answer = self._pool.request(
                "POST",
                self._path,
                body=BODY,
                headers={**self._headers, "X-Amzn-SageMaker-Inference-Id": name},
            )
        except urllib3.exceptions.HTTPError as error:
            return Asked(name, at, 0, named(str(error)), repr(error))
        if answer.status == 200:
            return Asked(name, at, 200, answer.headers["x-Amzn-Invoked-Production-Variant"])
        text = answer.data.decode()
        of_container = json.loads(text).get("OriginalStatusCode") if answer.status == MODEL_ERROR else None
        return Asked(name, at, of_container or answer.status, named(text), text)


def _signed(pool: urllib3.HTTPConnectionPool, path: str, target: str | None) -> dict[str, str]:
    """The headers of a request for an answer, with its signature."""
    request = AWSRequest("POST", f"http://{pool.host}:{pool.port}{path}", data=BODY)
    request.headers["Content-Type"] = request.headers["Accept"] = "application/json"
    if target:
        request.headers["X-Amzn-SageMaker-Target-Variant"] = target
    keys = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(keys, "sagemaker", REGION).add_auth(request)
    return dict(request.headers)


def named(text: str) -> str:
    """The variant that an error speaks of: the local cloud and the served model both name it."""
    found = re.search(r"\bv-[a-z]+\b", text)
    return found[0] if found else ""
