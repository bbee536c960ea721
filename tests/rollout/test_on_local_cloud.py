"""Whole rollouts with the real adapters on a running local cloud: real processes answer, real metrics are judged."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from rollout import Controller, Metric, Phase, Plan, Reason, Release, Step
from rollout.sagemaker import controller

pytestmark = pytest.mark.e2e

SERVER = Path(__file__).resolve().parents[1] / "localcloud" / "sagemaker" / "served_model.py"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/model-serving:process"
ROLE = "arn:aws:iam::000000000000:role/model-serving"
PLAN = Plan(
    steps=(Step(30, 2), Step(60, 2)),
    metrics=(Metric("errors", "rate", 0.2),),
    min_requests=10,
    window_seconds=5,
    max_seconds=150,
)


class Load:
    """Asks an endpoint without pause, and counts what is answered, and by whom."""

    def __init__(self, runtime: Any, endpoint: str) -> None:
        self._runtime, self._endpoint = runtime, endpoint
        self.answers: Counter[tuple[str, int]] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        while not self._stop.wait(0.02):
            try:
                answer = self._runtime.invoke_endpoint(
                    EndpointName=self._endpoint, ContentType="application/json", Body="{}"
                )
                self.answers[answer["InvokedProductionVariant"], 200] += 1
            except self._runtime.exceptions.ModelError as error:
                self.answers["", error.response["OriginalStatusCode"]] += 1

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)


class Stage:
    """A cloud with one endpoint, its journal, and releases that behave as told."""

    def __init__(self, cloud: Any) -> None:
        self.client = cloud.client
        self.session = boto3.Session("test", "test", region_name="us-east-1")
        self.client("s3").create_bucket(Bucket="models")
        self.client("sagemaker").create_model_package_group(ModelPackageGroupName="group")
        self.client("dynamodb").create_table(
            TableName="rollouts",
            KeySchema=[{"AttributeName": "endpoint", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "endpoint", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def release(self, name: str, status: int = 200) -> Release:
        """Everything that one release is in the cloud."""
        sagemaker, uri = self.client("sagemaker"), f"s3://models/{name}/model.tar.gz"
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            body = json.dumps({"name": name, "status": status}).encode()
            entry = tarfile.TarInfo("behaviour.json")
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
        self.client("s3").put_object(Bucket="models", Key=f"{name}/model.tar.gz", Body=buffer.getvalue())
        package = sagemaker.create_model_package(
            ModelPackageGroupName="group",
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [{"Image": IMAGE, "ModelDataUrl": uri}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )["ModelPackageArn"]
        container = {"Image": IMAGE, "ModelDataUrl": uri}
        sagemaker.create_model(ModelName=f"model-{name}", ExecutionRoleArn=ROLE, PrimaryContainer=container)
        self.config(f"solo-{name}", **{name: 1})
        return Release(
            name, name, f"sha256:{name}", uri, IMAGE, name, package, f"model-{name}", f"v-{name}", f"solo-{name}"
        )

    def config(self, config: str, **weights: float) -> str:
        variants = [
            {
                "VariantName": f"v-{name}", "ModelName": f"model-{name}", "InitialVariantWeight": weight,
                "InstanceType": "ml.m5.large", "InitialInstanceCount": 1,
            }
            for name, weight in weights.items()
        ]  # fmt: skip
        self.client("sagemaker").create_endpoint_config(EndpointConfigName=config, ProductionVariants=variants)
        return config

    def controller(self) -> Controller:
        return controller("endpoint", "rollouts", "us-east-1", self.session)

    def approval(self, release: Release) -> str:
        answer = self.client("sagemaker").describe_model_package(ModelPackageName=release.model_package_arn)
        return answer["ModelApprovalStatus"]


@pytest.fixture(scope="module")
def stage(new_cloud: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    toml = tmp_path_factory.mktemp("config") / "localcloud.toml"
    command = json.dumps([sys.executable, str(SERVER), "serve"])
    toml.write_text(f'[[image]]\nrepository = "*-serving"\ncommand = {command}\n')
    cloud = new_cloud(toml)
    cloud.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", cloud.url)
        yield Stage(cloud)


def test_a_champion_is_replaced_by_a_good_challenger_and_kept_from_a_bad_one(stage: Stage) -> None:
    first, good, bad = stage.release("a"), stage.release("b"), stage.release("c", status=500)
    stage.client("sagemaker").create_endpoint(EndpointName="endpoint", EndpointConfigName="solo-a")
    state = stage.controller().release(first, None, PLAN).state
    if state.phase is Phase.MOVING:
        state = stage.controller().follow(60, poll=0.5)
    assert (state.champion, stage.approval(first)) == (first, "Approved")

    shares: list[dict[str, float]] = []
    with Load(stage.client("sagemaker-runtime"), "endpoint") as load:
        stage.controller().release(good, stage.config("pair-ab", a=1, b=0), PLAN)
        state = stage.controller().follow(
            150, poll=0.5, progress=lambda seen: shares.append(seen.live.shares() if seen.live else {})
        )
    assert state.verdict is not None
    assert (state.verdict.outcome, state.champion, stage.approval(good)) == ("promoted", good, "Approved")
    for expected in ({"v-a": 70.0, "v-b": 30.0}, {"v-a": 40.0, "v-b": 60.0}, {"v-b": 100.0}):
        assert expected in shares
    assert {status for _, status in load.answers} == {200}

    with Load(stage.client("sagemaker-runtime"), "endpoint") as load:
        stage.controller().release(bad, stage.config("pair-bc", b=1, c=0), PLAN)
        state = stage.controller().follow(150, poll=0.5)
        after = Counter(load.answers)
        time.sleep(1)
        since = load.answers - after
    assert state.verdict is not None
    assert (state.verdict.outcome, state.champion, stage.approval(bad)) == ("rolled_back", good, "Rejected")
    assert state.verdict.reason.numbers["challenger_rate"] == 1.0
    assert {status for _, status in since} == {200}
    assert stage.controller().status().live.config == "solo-b"  # pyright: ignore[reportOptionalMemberAccess]

    # A person brings the first champion back.
    stage.controller().roll_back(Reason("person", "ada", "looks odd"))
    state = stage.controller().follow(60, poll=0.5)
    assert (state.champion, stage.approval(good), state.previous) == (first, "Rejected", None)
