"""The real container: built without a network, pushed, and served by the local SageMaker by its digest."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pipeline.registry import Clients, publish

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "model" / "example_request.json"


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(words, 127, "", str(error))


def make_image(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops.image", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def engine() -> None:
    """A Docker engine. Where none is, these tests are collected in CI only, and fail there: see conftest.py."""
    if docker("info").returncode:
        pytest.fail("CI has to have a Docker engine; .ci/run shows how Debian's docker.io is started")


@pytest.fixture(scope="module")
def repository(cloud) -> str:
    name = f"container-{uuid4().hex[:8]}-serving"
    return cloud.client("ecr").create_repository(repositoryName=name)["repository"]["repositoryUri"]


@pytest.fixture(scope="module")
def image(engine, cloud, repository: str) -> str:
    """The image, built and pushed by the command that people type; its URI by digest."""
    made = push(cloud, repository)
    assert made.returncode == 0, made.stdout + made.stderr
    (line,) = [line for line in made.stdout.splitlines() if line.startswith("image ")]
    return line.split()[1]


def push(cloud, repository: str) -> subprocess.CompletedProcess[str]:
    return make_image(
        *("--stack", "dev", "--repository", repository),
        AWS_ENDPOINT_URL=cloud.url,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
    )


@pytest.fixture(scope="module")
def endpoint(image: str, cloud, sealed) -> Iterator[str]:
    """An endpoint of the local SageMaker that serves the sealed model from the image."""
    name = f"container-{uuid4().hex[:8]}"
    sagemaker = cloud.client("sagemaker")
    cloud.client("s3").create_bucket(Bucket=name)
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    clients = Clients(cloud.client("s3"), sagemaker)
    published = publish(sealed, bucket=name, group=name, image=image, clients=clients)
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = cloud.client("iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=role["Role"]["Arn"],
        PrimaryContainer={
            "Image": image,
            "ModelDataUrl": published.archive_uri,
            "Environment": {"MODELSTACK_MANIFEST_SHA256": published.manifest_sha256},
        },
    )
    variant: dict[str, Any] = {
        "VariantName": "only",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    deadline = time.monotonic() + 120
    while (described := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] == "Creating":
        assert time.monotonic() < deadline, described
        time.sleep(0.5)
    assert described["EndpointStatus"] == "InService", described
    yield name
    sagemaker.delete_endpoint(EndpointName=name)


def containers(image: str) -> list[dict[str, Any]]:
    """What the engine says of the running containers of an image."""
    ids = docker("ps", "--quiet", "--no-trunc").stdout.split()
    running = json.loads(docker("inspect", *ids).stdout) if ids else []
    return [one for one in running if one["Config"]["Image"].endswith(image.rpartition("@")[2])]


def test_an_endpoint_answers_from_a_container_of_the_image(endpoint: str, image: str, cloud):
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint, Body=EXAMPLE.read_bytes(), ContentType="application/json"
    )
    (prediction,) = json.loads(answer["Body"].read())["predictions"]
    assert 0 < prediction["probability"] < 1
    described = cloud.client("sagemaker").describe_endpoint(EndpointName=endpoint)
    (deployed,) = described["ProductionVariants"][0]["DeployedImages"]
    assert deployed["ResolvedImage"].endswith(image.rpartition("@")[2])
    assert len(containers(image)) == 1


def test_the_container_runs_without_root_and_listens_on_loopback_only(endpoint: str, image: str):
    (container,) = containers(image)
    assert container["Config"]["User"] == "1000:1000"
    variables = dict(one.split("=", 1) for one in container["Config"]["Env"])
    port = int(variables["SAGEMAKER_BIND_TO_PORT"])
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"]
    assert [one for one in listening if one.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_the_image_holds_the_lock_the_entry_point_and_no_model(image: str):
    tag = docker("images", "--quiet", "modelstack-serving").stdout.split()[0]
    listed = docker("run", "--rm", "--network", "none", "--entrypoint", "/bin/ls", tag, "/opt", "/opt/venv/bin").stdout
    assert {"entrypoint.py", "venv"} <= set(listed.split())
    assert "pip" not in listed.split()
    shown = docker("run", "--rm", "--network", "none", "--entrypoint", "/bin/cat", tag, "/opt/entrypoint.py").stdout
    digest = hashlib.sha256((ROOT / "model/entrypoint.py").read_bytes()).hexdigest()
    assert hashlib.sha256(shown.encode()).hexdigest() == digest


def test_a_changed_archive_is_refused_in_the_container(image: str, unpacked: Path):
    tag = docker("images", "--quiet", "modelstack-serving").stdout.split()[0]
    digest = hashlib.sha256((unpacked / "manifest.json").read_bytes()).hexdigest()
    (unpacked / "model.joblib").write_bytes(b"changed")
    for parent in (unpacked, *unpacked.parents[:3]):
        parent.chmod(0o755)
    ran = docker(
        *("run", "--rm", "--network", "none", "--volume", f"{unpacked}:/opt/ml/model:ro"),
        *("--env", f"MODELSTACK_MANIFEST_SHA256={digest}", tag, "serve"),
    )
    assert ran.returncode == 1
    assert "cannot serve: the archive in /opt/ml/model is refused: model.joblib has sha256" in ran.stderr


def test_the_same_inputs_are_the_same_image(image: str, cloud, repository: str):
    again = push(cloud, repository)
    assert f"image  {image}" in again.stdout.splitlines()
    assert "building" not in again.stdout
