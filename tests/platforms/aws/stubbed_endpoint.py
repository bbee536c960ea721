"""An endpoint with release b on trial against a: moto's DynamoDB, S3 and CloudWatch, and a stubbed SageMaker."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from moto import mock_aws

from monitoring.bulk import sealed
from monitoring.drift.reference import Reference
from platforms.aws.endpoint import DynamoJournal
from platforms.aws.handlers import advance, drift, rollback
from rollout.core.plan import Plan, Step
from rollout.core.release import Release
from rollout.core.state import Phase, RolloutState
from tests.mocked import clients

BUCKET = "artifacts"
REFERENCE = Reference(*sealed({"x": np.random.default_rng(1).uniform(0, 4, 1000)})).as_dict()


class Endpoint:
    """A SageMaker client of one endpoint that takes every change at once."""

    def __init__(self) -> None:
        self.config, self.weights = "pair", {"v-a": 90.0, "v-b": 10.0}
        self.calls: list[str] = []

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        variants = [
            {"VariantName": name, "CurrentWeight": weight, "DesiredWeight": weight, "CurrentInstanceCount": 1}
            for name, weight in self.weights.items()
        ]
        return {"EndpointStatus": "InService", "EndpointConfigName": self.config, "ProductionVariants": variants}

    def update_endpoint_weights_and_capacities(self, **asked: Any) -> None:
        self.calls.append("weights")
        self.weights |= {item["VariantName"]: item["DesiredWeight"] for item in asked["DesiredWeightsAndCapacities"]}

    def update_endpoint(self, **asked: Any) -> None:
        self.calls.append("config")
        self.config = asked["EndpointConfigName"]
        self.weights = {f"v-{self.config[-1]}": 1.0}

    def describe_model_package(self, **_: Any) -> dict[str, str]:
        return {"ModelApprovalStatus": "PendingManualApproval"} if "approval" not in self.calls else {
            "ModelApprovalStatus": "Rejected"
        }  # fmt: skip

    def update_model_package(self, **_: Any) -> None:
        self.calls.append("approval")


def archive(content: dict[str, Any], name: str = "reference.json") -> bytes:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        body = json.dumps(content).encode()
        entry = tarfile.TarInfo(name)
        entry.size = len(body)
        tar.addfile(entry, io.BytesIO(body))
    return gzip.compress(plain.getvalue(), mtime=0)


def release(name: str, sealed: bytes) -> Release:
    digest = hashlib.sha256(sealed).hexdigest()
    uri = f"s3://{BUCKET}/packages/{digest}/model.tar.gz"
    return Release(
        name, name, f"sha256:{digest}", uri, "image", "x", f"arn:{name}", "model", f"v-{name}", f"solo-{name}"
    )


@contextmanager
def an_endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Release b is on trial against a; the handlers' clients are moto's but for SageMaker's."""
    environment = {
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        "ENDPOINT_NAME": "endpoint", "JOURNAL_TABLE": "rollouts", "ARTIFACT_BUCKET": BUCKET,
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "ALERTS_TOPIC", "DRIFT_FALSE_ALARMS", "DRIFT_MINUTES"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        fake, real = Endpoint(), clients("us-east-1")
        for module in (advance, drift, rollback):
            monkeypatch.setattr(module, "_clients", lambda: lambda name: fake if name == "sagemaker" else real(name))
        monkeypatch.setattr(rollback, "_hasty", lambda: real)
        drift._cache.cache_clear()
        real("dynamodb").create_table(
            TableName="rollouts",
            KeySchema=[{"AttributeName": "endpoint", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "endpoint", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        real("s3").create_bucket(Bucket=BUCKET)
        sealed = archive(REFERENCE)
        a, b = release("a", sealed), release("b", sealed)
        real("s3").put_object(Bucket=BUCKET, Key=a.archive_uri.split("/", 3)[3], Body=sealed)
        plan = Plan(steps=(Step(10, 300),), max_seconds=86_400)
        state = RolloutState(
            "endpoint", rollout_id="000001-b", phase=Phase.BAKING, champion=a, challenger=b, pair_config="pair",
            plan=plan, step=0, weights={"v-a": 90, "v-b": 10}, started_at=datetime.now(UTC).timestamp() - 60,
        )  # fmt: skip
        journal().write(state)
        yield fake


def journal() -> DynamoJournal:
    return DynamoJournal(clients("us-east-1"), "rollouts", "endpoint")
