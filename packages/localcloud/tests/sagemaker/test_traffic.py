"""Traffic on a real local cloud: shares, shifts, updates and kills."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest
from botocore.config import Config

from localcloud.sagemaker.processes import SERVER_MARK, marked

pytestmark = pytest.mark.e2e

TAKES_TIME = b'{"sleep": 0.02}'


def within(seen: int, draws: int, share: float) -> bool:
    """Whether a count lies in the binomial interval that one of a million counts misses: the cloud has no seed."""
    z = NormalDist().inv_cdf(1 - 1e-6 / 2)
    return abs(seen - draws * share) <= z * (draws * share * (1 - share)) ** 0.5 + 0.5


def without_retries(cloud: Any) -> Any:
    """A runtime client that asks once."""
    once = Config(retries={"total_max_attempts": 1})
    return cloud.session().client("sagemaker-runtime", endpoint_url=cloud.url, config=once)


class Load:
    """Requests without a pause from a few threads; no client retries, so that a lost request is seen.

    The model takes its time, so that requests are on their way at any moment, though few are sent.
    """

    def __init__(self, stage: Any, endpoint: str, threads: int = 4) -> None:
        # One client a thread, as its pool would else be shared.
        self.clients = [without_retries(stage.cloud) for _ in range(threads)]
        self.endpoint = endpoint
        self.stopped = threading.Event()
        self.seen: list[str] = []
        self.errors: list[BaseException] = []
        self.asked = [0] * threads
        self.threads = [threading.Thread(target=self._run, args=pair) for pair in enumerate(self.clients)]

    def _run(self, thread: int, client: Any) -> None:
        while not self.stopped.is_set():
            self.asked[thread] += 1
            try:
                answer = client.invoke_endpoint(
                    EndpointName=self.endpoint, ContentType="application/json", Body=TAKES_TIME
                )
                self.seen.append(json.loads(answer["Body"].read())["name"])
            except Exception as error:
                self.errors.append(error)
                time.sleep(0.02)

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def drained(self) -> None:
        """Wait until no request is on its way that was sent before the call."""
        before = list(self.asked)
        while any(now == then for now, then in zip(self.asked, before, strict=True)):
            time.sleep(0.01)

    def next(self, answers: int = 30) -> list[str]:
        """Which models give the next answers, apart from requests that were on their way already."""
        self.drained()
        begun = len(self.seen)
        while len(self.seen) < begun + answers:
            assert not self.errors, self.errors
            time.sleep(0.01)
        return self.seen[begun:]


def reweigh(stage: Any, endpoint: str, **weights: float) -> None:
    wish = [{"VariantName": name, "DesiredWeight": weight} for name, weight in weights.items()]
    stage.sagemaker.update_endpoint_weights_and_capacities(EndpointName=endpoint, DesiredWeightsAndCapacities=wish)
    stage.settled(endpoint)


def test_traffic_splits_by_weight_within_the_binomial_interval(stage):
    endpoint = stage.endpoint("e", {"a": 0.9, "b": 0.1})
    draws = 500
    client = stage.cloud.client("sagemaker-runtime")

    def call(_: int) -> str:
        return client.invoke_endpoint(EndpointName=endpoint, Body=b"{}")["InvokedProductionVariant"]

    with ThreadPoolExecutor(4) as pool:
        seen = Counter(pool.map(call, range(draws)))
    assert within(seen["b"], draws, 0.1), seen


def test_no_request_is_lost_while_weights_shift_and_a_fleet_is_replaced(stage):
    endpoint = stage.endpoint("e", {"a": 1, "b": 0})
    solo = stage.config("solo", {"b": 1})
    with Load(stage, endpoint) as load:
        for weight in (0.1, 0.5, 1):
            load.next()
            reweigh(stage, endpoint, a=1 - weight, b=weight)
        only_b = load.next()
        reweigh(stage, endpoint, a=1, b=0)
        only_a = load.next()
        stage.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=solo)
        assert stage.settled(endpoint)["EndpointConfigName"] == solo
        only_solo = load.next()
    assert load.errors == []
    assert set(only_b) == {"e-b"}
    assert set(only_a) == {"e-a"}
    assert set(only_solo) == {"solo-b"}


def test_a_failing_update_costs_no_request(stage):
    endpoint = stage.endpoint("e", {"a": 1})
    bad = stage.model("bad", start="raise")
    variant = {"VariantName": "a", "ModelName": bad, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    stage.sagemaker.create_endpoint_config(EndpointConfigName=stage.name("bad"), ProductionVariants=[variant])
    with Load(stage, endpoint, threads=2) as load:
        stage.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=stage.name("bad"))
        described = stage.settled(endpoint)
    assert described["EndpointStatus"] == "InService"
    assert "ImportError" in described["FailureReason"]
    assert load.errors == []
    assert set(load.seen) == {"e-a"}


@contextmanager
def nothing_left(stage: Any) -> Any:
    """Checks that the server's processes are gone at the end."""
    state = str(Path(stage.cloud.state).resolve())
    yield lambda: marked(SERVER_MARK, state)
    stage.cloud.stop()
    assert marked(SERVER_MARK, state) == []


def test_kill_9_loses_nothing_that_was_acknowledged_and_leaves_no_process(own_stage):
    stage = own_stage
    with nothing_left(stage) as processes:
        endpoint = stage.endpoint(
            "e",
            {"a": 1, "b": 0},
            workers=1,
            DataCaptureConfig={
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": f"s3://{stage.bucket}/capture",
                "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
            },
        )
        reweigh(stage, endpoint, a=0, b=1)
        arn = stage.sagemaker.create_model_package_group(ModelPackageGroupName="g")["ModelPackageGroupArn"]
        package = stage.sagemaker.create_model_package(ModelPackageGroupName="g")["ModelPackageArn"]
        stage.sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
        answered = [stage.invoke(endpoint)["name"] for _ in range(5)]
        before = processes()
        assert len(before) == 4
        stage.cloud.kill()
        end = time.monotonic() + 200
        while len(processes()) > 2 and time.monotonic() < end:
            time.sleep(0.05)
        orphans = processes()  # the kernel ended the servers with their parent, but not the servers' workers
        assert len(orphans) == 2
        stage.cloud.start()
        assert not set(orphans) & set(processes())
        described = stage.settled(endpoint)
        assert described["EndpointStatus"] == "InService"
        assert [v["CurrentWeight"] for v in described["ProductionVariants"]] == [0, 1]
        assert stage.invoke(endpoint)["name"] == "e-b"
        group = stage.sagemaker.describe_model_package_group(ModelPackageGroupName="g")
        assert group["ModelPackageGroupArn"] == arn
        described = stage.sagemaker.describe_model_package(ModelPackageName=package)
        assert described["ModelApprovalStatus"] == "Approved"
        end = time.monotonic() + 200
        while len(captured(stage)) < len(answered) + 1 and time.monotonic() < end:
            time.sleep(0.2)
        assert len(captured(stage)) == len(answered) + 1


def captured(stage: Any) -> list[str]:
    listed = stage.s3.list_objects_v2(Bucket=stage.bucket, Prefix="capture/").get("Contents", [])
    bodies = [stage.s3.get_object(Bucket=stage.bucket, Key=entry["Key"])["Body"].read() for entry in listed]
    return [line for body in bodies for line in body.splitlines()]


def test_a_crashed_variant_comes_back_and_the_other_serves_on(stage):
    endpoint = stage.endpoint("e", {"a": 1, "b": 0})
    pid = stage.invoke(endpoint)["pid"]
    os.kill(pid, signal.SIGKILL)
    assert stage.invoke(endpoint, TargetVariant="b")["name"] == "e-b"
    end = time.monotonic() + 200
    while True:
        try:
            assert stage.invoke(endpoint)["pid"] != pid
            break
        # Until the cloud has noticed, a request meets a model that does not answer; then no instance at all.
        except (stage.runtime.exceptions.ModelError, stage.runtime.exceptions.ServiceUnavailable):
            assert time.monotonic() < end, "it never came back"
    assert stage.settled(endpoint)["EndpointStatus"] == "InService"
