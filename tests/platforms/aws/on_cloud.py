"""One endpoint on a running local cloud: releases that behave as told, and a constant load that counts what is lost."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from infra.aws.statements import trust
from localcloud.testing import MODEL_SERVER
from platforms.aws.clients import clients
from platforms.aws.endpoint import SageMakerTraffic, controller_with
from platforms.aws.names import Names
from platforms.aws.packages import FORM
from rollout.controller.controller import Controller
from rollout.core.live import Approval, Live
from rollout.core.release import Release
from tests.platforms.aws.mocked import journal_table
from tests.platforms.aws.sealing import sealed_release
from tests.platforms.load import RATE, Asked, Load, wait_for

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
    """A constant load on one endpoint.

    All its requests but for their ids are alike, so they are signed once: boto3 takes five times as long for each.

    Args:
        pool: Connections to the cloud, without retries.
        endpoint: Whom to ask.
        rate: Requests a second.
        target: The variant to ask by name; None leaves it to the endpoint.
        workers: How many ask at a time.
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


class Stage:
    """An endpoint with its journal, its registry and its bucket, and the releases made for it so far.

    Args:
        shared: The clients.
        name: Of the stage; names of the cloud derive from it as they do for a stack.
    """

    def __init__(self, shared: Clients, name: str) -> None:
        self.shared, self.clients = shared, shared.make
        self.names = Names(name, "test", ACCOUNT, REGION)
        self.topic: str | None = None
        self.captures = False
        self._configs: set[str] = set()
        self.releases: dict[str, Release] = {}
        self.clients("s3").create_bucket(Bucket=self.names.bucket)
        self.clients("sagemaker").create_model_package_group(ModelPackageGroupName=self.names.package_group)
        role = self.names.serving_role_arn.rpartition("/")[2]
        self.clients("iam").create_role(RoleName=role, AssumeRolePolicyDocument=trust("sagemaker"))
        journal_table(self.clients, self.names.journal)

    def release(self, role: str, **behaviour: Any) -> Release:
        """Everything that one release is in the cloud; see localcloud's `served_model.py` for how it may behave."""
        names, sagemaker = self.names, self.clients("sagemaker")
        made = sealed_release(role, self.clients("s3"), names.bucket, _members(role, behaviour))
        container = {"Image": names.process_image, "ModelDataUrl": made.archive_uri}
        package = sagemaker.create_model_package(
            ModelPackageGroupName=names.package_group,
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [container],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )["ModelPackageArn"]
        model = f"{names.prefix}-{role}"
        sagemaker.create_model(ModelName=model, ExecutionRoleArn=names.serving_role_arn, PrimaryContainer=container)
        self.releases[role] = made = replace(
            made, image_uri=names.process_image, model_package_arn=package, model_name=model,
            config_name=f"{names.prefix}-solo-{role}",
        )  # fmt: skip
        self._config(made.config_name, {role: 1})
        return made

    def replace_archive(self, role: str, **behaviour: Any) -> None:
        """Put other bytes where the archive of a release lies."""
        s3, uri = self.clients("s3"), self.releases[role].archive_uri
        other = sealed_release(role, s3, self.names.bucket, _members(role, behaviour)).archive_uri
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        s3.copy_object(Bucket=bucket, Key=key, CopySource=other.removeprefix("s3://"))

    def pair(self, champion: str, challenger: str) -> str:
        """The endpoint config that serves two releases together, all traffic to the first."""
        return self._config(f"{self.names.prefix}-{champion}-{challenger}", {champion: 1, challenger: 0})

    def shadow(self, champion: str, challenger: str) -> str:
        """The endpoint config that serves the first and copies every request to the second."""
        return self._config(f"{self.names.prefix}-{champion}-shadow-{challenger}", {champion: 1}, {challenger: 1})

    def _config(self, name: str, weights: Mapping[str, float], shadows: Mapping[str, float] | None = None) -> str:
        if name in self._configs:
            return name
        capture = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{self.names.bucket}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
        more: dict[str, Any] = {"DataCaptureConfig": capture} if self.captures else {}
        if shadows:
            more["ShadowProductionVariants"] = self._variants(shadows)
        self.clients("sagemaker").create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=self._variants(weights), **more
        )
        self._configs.add(name)
        return name

    def _variants(self, weights: Mapping[str, float]) -> list[dict[str, Any]]:
        return [
            {
                "VariantName": self.releases[role].variant, "ModelName": self.releases[role].model_name,
                "InitialVariantWeight": weight, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
            }
            for role, weight in weights.items()
        ]  # fmt: skip

    def serve(self, role: str) -> None:
        """Create the endpoint with one release, and wait until it serves."""
        sagemaker, release = self.clients("sagemaker"), self.releases[role]
        sagemaker.create_endpoint(EndpointName=self.names.endpoint, EndpointConfigName=release.config_name)
        wait_for(lambda: self.live().status != "changing")

    def close(self) -> None:
        """End the endpoint's processes, which would be looked after as long as the cloud runs."""
        self.clients("sagemaker").delete_endpoint(EndpointName=self.names.endpoint)

    def controller(self) -> Controller:
        """A controller of its own; any number may be used."""
        return controller_with(self.clients, self.names.endpoint, self.names.journal, by="test", topic=self.topic)

    def live(self) -> Live:
        """What the endpoint says of itself."""
        return SageMakerTraffic(self.clients, self.names.endpoint).read()

    def approval(self, role: str) -> Approval:
        """The approval status of a release's package."""
        arn = self.releases[role].model_package_arn
        return self.clients("sagemaker").describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"]

    def load(self, rate: float = RATE, target: str | None = None) -> Load:
        """A constant load on the endpoint, not started yet."""
        return EndpointLoad(self.shared.asking, self.names.endpoint, rate, target)


def _members(role: str, behaviour: Mapping[str, Any]) -> dict[str, Any]:
    return {"behaviour.json": {"name": f"v-{role}", "answer": PREDICTION, **behaviour}, FORM: DECLARED}
