"""What do these tests ask the local SageMaker for?"""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from pathlib import Path
from typing import Any

ACCOUNT, REGION = "000000000000", "us-east-1"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/model-serving:process"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/model-serving"
MODEL = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
"""The archive that step `Train` of a pipeline leaves."""
DAY = {"Enabled": True, "ExpireAfter": "P1D"}
"""A CacheConfig."""
TRAINER = Path(__file__).with_name("trained_model.py")


def make_archive(name: str, **behaviour: Any) -> bytes:
    """A model archive for served_model.py."""
    return make_tar({"behaviour.json": json.dumps({"name": name, **behaviour}).encode()})


def make_tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def container(name: str) -> dict[str, Any]:
    return {"Image": IMAGE, "ModelDataUrl": f"s3://models/{name}/model.tar.gz", "Environment": {"GREETING": name}}


def variant_of(name: str, model: str, weight: float = 1, **more: Any) -> dict[str, Any]:
    """A production variant."""
    return {
        "VariantName": name,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": weight,
        **more,
    }


def job_of(name: str, channels: tuple[str, ...] = (), **hyperparameters: str) -> dict[str, Any]:
    """A request for a training job of trained_model.py, with a channel for each prefix of bucket `data`."""
    sources = {channel: {"S3DataType": "S3Prefix", "S3Uri": f"s3://data/{channel}"} for channel in channels}
    inputs = [{"ChannelName": name, "DataSource": {"S3DataSource": source}} for name, source in sources.items()]
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        **({"InputDataConfig": inputs} if inputs else {}),
        "OutputDataConfig": {"S3OutputPath": "s3://jobs/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "HyperParameters": hyperparameters,
    }


def processing_of(name: str, inputs: tuple[str, ...] = (), **wishes: str) -> dict[str, Any]:
    """A request for a processing job of trained_model.py, with an input for each prefix of bucket `data`.

    What it leaves in `processing/seen` and `processing/out` goes below `s3://jobs/<name>`.
    """
    return {
        "ProcessingJobName": name,
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python", str(TRAINER)]},
        "RoleArn": ROLE,
        **({"ProcessingInputs": [input_of(one) for one in inputs]} if inputs else {}),
        "ProcessingOutputConfig": {"Outputs": [output_of(one, f"s3://jobs/{name}/{one}") for one in ("seen", "out")]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "Environment": {f"WISH_{wish}": value for wish, value in wishes.items()},
    }


def input_of(name: str, url: str = "") -> dict[str, Any]:
    source = {"S3Uri": url or f"s3://data/{name}", "LocalPath": f"/opt/ml/processing/{name}", "S3DataType": "S3Prefix"}
    return {"InputName": name, "S3Input": source}


def output_of(name: str, url: str) -> dict[str, Any]:
    target = {"S3Uri": url, "LocalPath": f"/opt/ml/processing/{name}", "S3UploadMode": "EndOfJob"}
    return {"OutputName": name, "S3Output": target}


def token() -> dict[str, str]:
    return {"ClientRequestToken": uuid.uuid4().hex}


def pipeline_of(name: str, *steps: dict[str, Any], parameters: Any = (), role: str = ROLE) -> dict[str, Any]:
    """A request for a pipeline."""
    definition = {"Version": "2020-12-01", "Metadata": {}, "Parameters": list(parameters), "Steps": list(steps)}
    return {"PipelineName": name, "PipelineDefinition": json.dumps(definition), "RoleArn": role, **token()}


def parameter(name: str, kind: str, *default: Any) -> dict[str, Any]:
    return {"Name": name, "Type": kind, **({"DefaultValue": default[0]} if default else {})}


def train_step(name: str, *, wishes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A step that trains by trained_model.py; members of the step in small letters."""
    arguments = {key: value for key, value in job_of("j").items() if key != "TrainingJobName"}
    return _step(name, "Training", {**arguments, "HyperParameters": wishes or {}}, more)


def process_step(name: str, *, wishes: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A step that processes by trained_model.py; its output `out` goes below the execution's id in bucket `jobs`."""
    arguments = {key: value for key, value in processing_of(name).items() if key != "ProcessingJobName"}
    where = {"Std:Join": {"On": "/", "Values": ["s3://jobs", {"Get": "Execution.PipelineExecutionId"}, name, "out"]}}
    arguments["ProcessingOutputConfig"]["Outputs"][1]["S3Output"]["S3Uri"] = where
    arguments["Environment"] = {f"WISH_{wish}": value for wish, value in (wishes or {}).items()}
    return _step(name, "Processing", arguments, more)


def evaluate_step(auc: float, **more: Any) -> dict[str, Any]:
    """A step `Evaluate` that reads the model of step `Train` and leaves a property file."""
    files = json.dumps({"processing/out/metrics.json": json.dumps({"summary": {"auc": auc}})})
    file = {"PropertyFileName": "Metrics", "OutputName": "out", "FilePath": "metrics.json"}
    step = process_step("Evaluate", wishes={"files": files}, files=[file], **more)
    source = {"S3Uri": MODEL, "LocalPath": "/opt/ml/processing/model", "S3DataType": "S3Prefix"}
    step["Arguments"]["ProcessingInputs"] = [{"InputName": "model", "S3Input": source}]
    return step


def condition_step(name: str, conditions: list[Any], *, yes: Any = (), no: Any = (), **more: Any) -> dict[str, Any]:
    arguments = {"Conditions": conditions, "IfSteps": list(yes), "ElseSteps": list(no)}
    return _step(name, "Condition", arguments, more)


def fail_step(name: str, message: Any) -> dict[str, Any]:
    return _step(name, "Fail", {"ErrorMessage": message}, {})


def register_step(name: str, data: Any, **more: Any) -> dict[str, Any]:
    inside = {"Containers": [{"Image": IMAGE, "ModelDataUrl": data}], "SupportedContentTypes": ["text/csv"]}
    specification = {**inside, "SupportedResponseMIMETypes": ["text/csv"]}
    arguments = {"ModelPackageGroupName": "flights", "InferenceSpecification": specification}
    return _step(name, "RegisterModel", arguments, more)


def model_step(name: str, data: Any) -> dict[str, Any]:
    container = {"Image": IMAGE, "ModelDataUrl": data}
    return _step(name, "Model", {"ExecutionRoleArn": ROLE, "PrimaryContainer": container}, {})


def lambda_step(name: str, arguments: dict[str, Any], **outputs: str) -> dict[str, Any]:
    """A step that calls function `count`, with the types of its outputs by name."""
    function = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:count"
    return {**_step(name, "Lambda", arguments, {}), "FunctionArn": function, "OutputParameters": _outputs(outputs)}


def callback_step(name: str, arguments: dict[str, Any], queue: str = "https://queue", **outputs: str) -> dict[str, Any]:
    """A step that asks a queue, with the types of its outputs by name."""
    return {**_step(name, "Callback", arguments, {}), "SqsQueueUrl": queue, "OutputParameters": _outputs(outputs)}


def _outputs(types: dict[str, str]) -> list[dict[str, str]]:
    return [{"OutputName": name, "OutputType": kind} for name, kind in types.items()]


def _step(name: str, kind: str, arguments: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    names = {"after": "DependsOn", "cache": "CacheConfig", "retries": "RetryPolicies", "files": "PropertyFiles"}
    return {"Name": name, "Type": kind, "Arguments": arguments, **{names[key]: value for key, value in more.items()}}
