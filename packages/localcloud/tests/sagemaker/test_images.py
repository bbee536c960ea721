"""Containers where an engine answers, processes where none does."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from localcloud.sagemaker.processes import INSTANCE_MARK, marked
from localcloud.testing import MODEL_SERVER

from .asked import TRAINER, job_of, processing_of
from .conftest import Failure, run
from .test_training_jobs import seen

pytestmark = pytest.mark.e2e

DIGEST = f"sha256:{'ab' * 32}"
REPOSITORY = "000000000000.dkr.ecr.us-east-1.amazonaws.com/model-serving"

# Stands for the engine's client: notes what it is asked, and runs the model server where a container would run.
ENGINE = f"""#!{sys.executable}
import json, os, sys
notes = os.path.join(os.path.dirname(__file__), "asked.jsonl")
arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--config=")]
with open(notes, "a") as file:
    file.write(json.dumps(arguments) + "\\n")
if arguments[0] == "login":
    sys.exit(0 if sys.stdin.read() == "token" else 1)
if arguments[0] == "run":
    given = [a[6:].partition("=") for a in arguments if a.startswith("--env=")]
    environment = {{name: value if equals else os.environ[name] for name, equals, value in given}}
    folder, *inside = next(a for a in arguments if a.startswith("--volume="))[9:].split(":")
    os.environ.pop("OPT_ML", None)
    entry_point = next((a[13:] for a in arguments if a.startswith("--entrypoint=")), None)
    if entry_point:
        assert inside == ["/opt/ml"] and "OPT_ML" not in environment
        os.environ.update(environment, OPT_ML=folder)
        place = next(number for number, word in enumerate(arguments) if "@sha256:" in word)
        os.execv(sys.executable, [sys.executable, {str(TRAINER)!r}, entry_point, *arguments[place + 1:]])
    if arguments[-1] == "train":
        assert inside == ["/opt/ml"] and "OPT_ML" not in environment
        os.environ.update(environment, OPT_ML=folder)
        os.execv(sys.executable, [sys.executable, {str(TRAINER)!r}, arguments[-1]])
    assert inside == ["/opt/ml/model", "ro"] and environment["SM_MODEL_DIR"] == "/opt/ml/model"
    os.environ.update(environment, SM_MODEL_DIR=folder)
    os.execv(sys.executable, [sys.executable, {str(MODEL_SERVER)!r}, arguments[-1]])
"""


@pytest.fixture
def engine(inside, tmp_path, monkeypatch) -> Path:
    """An engine that answers, and a registry with one image; the path is of the notes."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(ENGINE)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    def describe_images(repositoryName: str, imageIds: list[dict[str, str]]) -> Any:
        assert repositoryName == "model-serving"
        if imageIds not in ([{"imageTag": "1"}], [{"imageDigest": DIGEST}]):
            inside.aws.refused.add("DescribeImages")
            inside.aws._check("DescribeImages")
        return {"imageDetails": [{"imageDigest": DIGEST}]}

    def get_authorization_token() -> Any:
        return {"authorizationData": [{"authorizationToken": "QVdTOnRva2Vu"}]}  # AWS:token

    inside.aws.describe_images = describe_images
    inside.aws.get_authorization_token = get_authorization_token
    return tmp_path / "bin/asked.jsonl"


def asked(engine: Path, verb: str) -> list[list[str]]:
    calls = [json.loads(line) for line in engine.read_text().splitlines()]
    return [call for call in calls if call[0] == verb]


async def deployed(inside: Any, variant: Any, image: str) -> Any:
    await inside.model("m")
    await inside.call("DeleteModel", ModelName="m")
    container = {"Image": image, "ModelDataUrl": "s3://models/m/model.tar.gz", "Environment": {"GREETING": "hello"}}
    await inside.call("CreateModel", ModelName="m", PrimaryContainer=container)
    await inside.config("c", variant("v", "m"))
    await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    return await inside.settled("e")


@pytest.mark.parametrize("image", [f"{REPOSITORY}:1", f"{REPOSITORY}@{DIGEST}"])
def test_an_image_of_the_registry_runs_as_a_container_by_digest(inside, engine, variant, image):
    async def scenario():
        async with inside.running():
            described = await deployed(inside, variant, image)
            assert described["EndpointStatus"] == "InService"
            (deployed_image,) = described["ProductionVariants"][0]["DeployedImages"]
            assert deployed_image["SpecifiedImage"] == image
            assert deployed_image["ResolvedImage"] == f"{REPOSITORY}@{DIGEST}"
            assert (await inside.invoke("e"))["environment"]["GREETING"] == "hello"
        (pull,) = asked(engine, "pull")
        (started,) = asked(engine, "run")
        assert pull[-1] == f"127.0.0.1:1/model-serving@{DIGEST}"
        assert started[-2:] == [pull[-1], "serve"]
        assert "--network=host" in started
        assert "--env=GREETING=hello" in started
        assert not [option for option in started if option.startswith("--env=PATH=")]
        name = next(option for option in started if option.startswith("--name="))[7:]
        assert ["rm", "--force", name] in asked(engine, "rm")

    run(scenario())


def test_a_training_job_is_a_container_that_is_told_to_train(inside, engine):
    async def scenario() -> None:
        async with inside.running():
            request = job_of("j")
            request["AlgorithmSpecification"]["TrainingImage"] = f"{REPOSITORY}:1"
            wanted = {"GREETING": "hello", "AWS_SECRET_ACCESS_KEY": "hidden"}
            await inside.call("CreateTrainingJob", **request, Environment=wanted)
            assert (await inside.over("j"))["TrainingJobStatus"] == "Completed"
        saw = seen(inside, "j")
        assert saw["arguments"] == ["train"]
        assert saw["environment"]["GREETING"] == "hello"
        assert saw["environment"]["TRAINING_JOB_NAME"] == "j"
        (started,) = asked(engine, "run")
        assert started[-2:] == [f"127.0.0.1:1/model-serving@{DIGEST}", "train"]
        assert "--cpu-shares=256" in started
        assert saw["environment"]["AWS_SECRET_ACCESS_KEY"] == "hidden"
        assert "hidden" not in str(started)  # any user of the machine can read it
        name = next(option for option in started if option.startswith("--name="))[7:]
        assert ["rm", "--force", name] in asked(engine, "rm")

    run(scenario())


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ({"ContainerEntrypoint": ["run", "all"], "ContainerArguments": ["fast"]}, ["run", "all", "fast"]),
        ({"ContainerEntrypoint": ["run"]}, ["run"]),
    ],
)
def test_a_training_job_is_a_container_with_its_own_entry_point(inside, engine, words, runs):
    async def scenario() -> None:
        async with inside.running():
            request = job_of("j")
            request["AlgorithmSpecification"] |= {"TrainingImage": f"{REPOSITORY}:1", **words}
            await inside.call("CreateTrainingJob", **request)
            assert (await inside.over("j"))["TrainingJobStatus"] == "Completed"
        assert seen(inside, "j")["arguments"] == runs

    run(scenario())


def test_a_training_job_runs_its_own_entry_point_as_a_process_and_finds_the_folder_by_its_path(inside):
    async def scenario() -> None:
        async with inside.running():
            request = job_of("j")
            words = {"ContainerEntrypoint": [sys.executable, str(TRAINER)], "ContainerArguments": ["/opt/ml/model"]}
            request["AlgorithmSpecification"] |= words
            await inside.call("CreateTrainingJob", **request)
            assert (await inside.over("j"))["TrainingJobStatus"] == "Completed"
        saw = seen(inside, "j")
        assert saw["arguments"] == [f"{saw['environment']['OPT_ML']}/model"]

    run(scenario())


def test_a_processing_job_is_a_container_with_its_own_entry_point(inside, engine):
    async def scenario() -> None:
        async with inside.running():
            request = processing_of("p", files=json.dumps({"processing/out/x": "y"}))
            words = {"ContainerEntrypoint": ["run", "all"], "ContainerArguments": ["/opt/ml/processing/in"]}
            request["AppSpecification"] = {"ImageUri": f"{REPOSITORY}:1", **words}
            await inside.call("CreateProcessingJob", **request)
            assert (await inside.processed("p"))["ProcessingJobStatus"] == "Completed"
        saw = json.loads(inside.aws.objects["jobs", "p/seen/seen.json"])
        assert saw["arguments"] == ["run", "all", "/opt/ml/processing/in"]
        assert inside.aws.objects["jobs", "p/out/x"] == b"y"
        (started,) = asked(engine, "run")
        assert started[-3:] == [f"127.0.0.1:1/model-serving@{DIGEST}", "all", "/opt/ml/processing/in"]

    run(scenario())


def test_containers_of_a_killed_server_are_looked_for_at_the_start(inside, engine):
    async def scenario():
        async with inside.running():
            pass
        (listed,) = asked(engine, "ps")
        state = inside.platform.state.resolve()
        assert f"--filter=label=localcloud.sagemaker.state={state}" in listed

    run(scenario())


def test_an_image_that_is_not_in_the_registry_runs_as_its_process(inside, engine, variant):
    async def scenario():
        async with inside.running():
            described = await deployed(inside, variant, f"{REPOSITORY}:process")
            (image,) = described["ProductionVariants"][0]["DeployedImages"]
            assert image["ResolvedImage"] == f"{REPOSITORY}:process"
        assert asked(engine, "run") == []

    run(scenario())


def test_a_tag_that_the_registry_lists_no_image_for_runs_as_its_process(inside, engine, variant):
    inside.aws.describe_images = lambda **_: {"imageDetails": []}

    async def scenario() -> None:
        async with inside.running():
            assert (await deployed(inside, variant, f"{REPOSITORY}:process"))["EndpointStatus"] == "InService"

    run(scenario())
    assert not asked(engine, "run")


def test_a_pull_that_fails_fails_the_endpoint_in_words(inside, engine, variant):
    program = engine.with_name("docker")
    program.write_text(ENGINE + 'if arguments[0] == "pull":\n    sys.exit("manifest unknown")\n')

    async def scenario():
        async with inside.running():
            described = await deployed(inside, variant, f"{REPOSITORY}:1")
            assert described["EndpointStatus"] == "Failed"
            assert f"{REPOSITORY}@{DIGEST} cannot be pulled" in described["FailureReason"]
            assert "manifest unknown" in described["FailureReason"]

    run(scenario())


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ],
)
def test_a_model_of_an_image_in_another_form_is_refused_in_sagemakers_words(inside, kind):
    """As users of AWS quote it in aws/amazon-sagemaker-feedback and mlflow/mlflow."""
    inside.aws.describe_images = lambda **_: {"imageDetails": [{"imageDigest": DIGEST, "imageManifestMediaType": kind}]}
    image = f"{REPOSITORY}@{DIGEST}"

    async def scenario() -> None:
        async with inside.running():
            with pytest.raises(Failure) as caught:
                await inside.call("CreateModel", ModelName="m", PrimaryContainer={"Image": image})
            assert (caught.value.code, caught.value.message) == (
                "ValidationException",
                f"Unsupported manifest media type {kind} for image {image}. Ensure that valid manifest media type is "
                "used for specified image.",
            )

    run(scenario())


def test_workers_that_a_process_forked_end_with_it(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.model("m", workers=2)
            await inside.config("c", variant("v", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            await inside.settled("e")
            (instance,) = [folder.name for folder in (inside.platform.run / "sagemaker/models").iterdir()]
            assert len(marked(INSTANCE_MARK, instance)) == 3
            await inside.call("DeleteEndpoint", EndpointName="e")
            while "EndpointName" in str(await inside.call("ListEndpoints")):
                await asyncio.sleep(0.02)
            assert marked(INSTANCE_MARK, instance) == []

    run(scenario())
