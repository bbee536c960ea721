"""The real containers: built without a network, pushed, and run by the local SageMaker by their digests."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from rich.console import Console

from demos.builds import kubeflow_docker, local_build
from demos.builds.digest_comparison import PACKAGE
from modelstack.cli.local.stack import Stack
from modelstack.pipeline.pack import Registered
from modelstack.pipeline.recipe import recipe
from modelstack.pipeline.steps import PIPELINE
from modelstack.platforms.aws.package_registry import registry
from modelstack.records.provenance.key_pair import KeyPair
from modelstack.services.package_registry import publish
from tests.process import python
from tests.small import SMALL

pytestmark = [pytest.mark.e2e, pytest.mark.needs("engine"), pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[4]
EXAMPLE = ROOT / "model" / "example_request.json"


def docker(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(words, 127, "", str(error))


@pytest.fixture(scope="module")
def repository(cloud) -> str:
    name = f"container-{uuid4().hex[:8]}-serving"
    return cloud.client("ecr").create_repository(repositoryName=name)["repository"]["repositoryUri"]


@pytest.fixture(scope="module")
def images(cloud, repository: str) -> dict[str, str]:
    """The images, built and pushed by the command that people type: `image` serves, `train` trains; URIs by digest."""
    made = push(cloud, repository)
    assert made.returncode == 0, made.stdout + made.stderr
    return dict(line.split() for line in made.stdout.splitlines() if line.startswith(("image ", "train ")))


@pytest.fixture(scope="module")
def image(images: dict[str, str]) -> str:
    return images["image"]


def push(cloud, repository: str) -> subprocess.CompletedProcess[str]:
    return python(
        "-m", "modelstack.cli.local.image", "--stack", "dev", "--repository", repository, **cloud.environment()
    )


def place_of(cloud) -> str:
    """The name of a bucket and a package group in which nothing is."""
    name = f"container-{uuid4().hex[:8]}"
    cloud.client("s3").create_bucket(Bucket=name)
    cloud.client("sagemaker").create_model_package_group(ModelPackageGroupName=name)
    return name


@pytest.fixture(scope="module")
def place(cloud) -> str:
    """The name of a bucket, a package group and a role."""
    name = place_of(cloud)
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    cloud.client("iam").create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    return name


@pytest.fixture(scope="module")
def published(image: str, cloud, place: str, sealed) -> Registered:
    return publish(sealed, registry(place, place, image, cache(cloud.client), KeyPair.new()))


def role_arn(cloud, name: str) -> str:
    return cloud.client("iam").get_role(RoleName=name)["Role"]["Arn"]


@pytest.fixture(scope="module")
def endpoint(image: str, cloud, place: str, published: Registered) -> Iterator[str]:
    name, sagemaker = place, cloud.client("sagemaker")
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=role_arn(cloud, name),
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
    deadline = time.monotonic() + 400
    while (described := sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] == "Creating":
        assert time.monotonic() < deadline, described
        time.sleep(0.5)
    assert described["EndpointStatus"] == "InService", described
    yield name
    sagemaker.delete_endpoint(EndpointName=name)


def containers(image: str) -> list[dict[str, Any]]:
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


def test_the_container_listens_on_loopback_only(endpoint: str, image: str):
    (container,) = containers(image)
    variables = dict(one.split("=", 1) for one in container["Config"]["Env"])
    port = int(variables["SAGEMAKER_BIND_TO_PORT"])
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"]
    assert [one for one in listening if one.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]


def test_the_image_holds_the_lock_the_runtime_and_no_model(image: str):
    tag = docker("images", "--quiet", "modelstack-serving").stdout.split()[0]
    listed = docker("run", "--rm", "--network", "none", "--entrypoint", "/bin/ls", tag, "/opt", "/opt/venv/bin").stdout
    assert {"runtime", "venv"} <= set(listed.split())
    assert "pip" not in listed.split()
    inside = "/opt/runtime/modelstack/serving/worker.py"
    shown = docker("run", "--rm", "--network", "none", "--entrypoint", "/bin/cat", tag, inside).stdout
    digest = hashlib.sha256((ROOT / "packages/modelstack/src/modelstack/serving/worker.py").read_bytes()).hexdigest()
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
    assert "cannot serve: the package in /opt/ml/model is refused: model.joblib has sha256" in ran.stderr


def test_a_training_job_retrains_in_a_container(images: dict[str, str], cloud, place: str, published: Registered):
    allowed = {"Effect": "Allow", "Action": ["s3:*", "sagemaker:*", "kms:*"], "Resource": "*"}
    cloud.client("iam").put_role_policy(
        RoleName=place,
        PolicyName="training",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
    )
    sagemaker, job = cloud.client("sagemaker"), f"{place}-1"
    signs = cloud.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    source = {"S3DataType": "S3Prefix", "S3Uri": published.archive_uri, "S3DataDistributionType": "FullyReplicated"}
    names = ("package_digest", "manifest_sha256", "archive_uri", "image_uri")
    given = {
        **{"through": "2013-07-20", "gates": "{}", "bucket": place, "group": place, "region": "us-east-1"},
        **{"champion": json.dumps({name: getattr(published, name) for name in names}), "report": "report.json"},
        "signing_key": signs,
    }
    sagemaker.create_training_job(
        TrainingJobName=job,
        AlgorithmSpecification={"TrainingImage": images["train"], "TrainingInputMode": "File"},
        RoleArn=role_arn(cloud, place),
        InputDataConfig=[{"ChannelName": "champion", "DataSource": {"S3DataSource": source}}],
        HyperParameters=given,
        OutputDataConfig={"S3OutputPath": f"s3://{place}/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 1200},
    )
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=job, WaiterConfig={"Delay": 1, "MaxAttempts": 1200}
    )
    described = sagemaker.describe_training_job(TrainingJobName=job)
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    report = json.loads(cloud.client("s3").get_object(Bucket=place, Key="report.json")["Body"].read())
    assert report["outcome"] == "better", report["why"]
    assert report["recipe"] == recipe(ROOT, {**SMALL, **report["changes"]}).digest


@pytest.fixture
def texts(images: dict[str, str], cloud, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a run of the pipeline is given, that registers in an empty place; this process points at its cloud."""
    for variable, value in cloud.environment().items():
        monkeypatch.setenv(variable, value)
    signs = cloud.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    name = place_of(cloud)
    place = {"platform": "aws", "region": "us-east-1", "bucket": name, "group": name, "signing_key": signs}
    return {"place": json.dumps({**place, "image_uri": images["image"]})}


def test_kubeflows_sdk_runs_every_step_in_a_container_to_the_package_that_is_built_here(
    repository: str, texts: dict[str, str], cloud, sealed, tmp_path: Path
):
    stack = Stack("local-pipeline").with_parameters(tmp_path, **SMALL)
    image = kubeflow_docker.image_of(repository, Console())
    keys, said = kubeflow_docker.keys(os.environ), list[str]()
    found = kubeflow_docker.digests(stack, image, {**texts, "gates": "{}"}, keys, said.append)
    assert [line.partition(":")[0] for line in said] == [step.name for step in PIPELINE.order()]
    assert found == local_build.left(sealed.path.parents[1])
    sagemaker = cloud.client("sagemaker")
    group = json.loads(texts["place"])["group"]
    (version,) = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    described = sagemaker.describe_model_package(ModelPackageName=version["ModelPackageArn"])
    assert described["CustomerMetadataProperties"]["package_digest"] == sealed.digest == found[PACKAGE]


def test_the_same_inputs_are_the_same_images(images: dict[str, str], cloud, repository: str):
    again = push(cloud, repository)
    assert {f"{word}  {uri}" for word, uri in images.items()} <= set(again.stdout.splitlines())
    assert "building" not in again.stdout
