"""Runs Kubeflow Pipelines' own SDK on a pipeline, in its own environment without our code.

    python sdk.py read PIPELINE                      the file as the SDK's types and its loader parse it
    python sdk.py again PIPELINE OUT                 the same pipeline, loaded and written by the SDK
    python sdk.py submit PIPELINE URL ARGUMENTS      a run of it, by the SDK's client

The last line that each prints is JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp import Client, compiler, components
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2


def read(file: str) -> dict[str, Any]:
    """Each document of the file in the SDK's types; an unknown or ill-typed field is an error."""
    pipeline, *platforms = yaml.safe_load_all(Path(file).read_text())
    spec = json_format.ParseDict(pipeline, pipeline_spec_pb2.PipelineSpec())
    executors = json_format.ParseDict(
        json_format.MessageToDict(spec.deployment_spec), pipeline_spec_pb2.PipelineDeploymentConfig()
    )
    needs: dict[str, Any] = {}
    for platform in platforms:
        parsed = json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
        for name, given in parsed.platforms["kubernetes"].deployment_spec.executors.items():
            asked = json_format.MessageToDict(given)
            json_format.ParseDict(asked, kubernetes_executor_config_pb2.KubernetesExecutorConfig())
            needs[name] = asked
    loaded = components.load_component_from_file(file)
    return {
        "spec": json_format.MessageToDict(spec),
        "executors": json_format.MessageToDict(executors),
        "kubernetes": needs,
        "name": loaded.name,
        "inputs": {name: one.type for name, one in (loaded.component_spec.inputs or {}).items()},
    }


def again(file: str, out: str) -> dict[str, Any]:
    compiler.Compiler().compile(components.load_component_from_file(file), out)
    return {}


def submit(file: str, url: str, arguments: str) -> dict[str, Any]:
    client = Client(host=url)
    uploaded = client.upload_pipeline(file, pipeline_name="flight-delay")
    started = client.create_run_from_pipeline_package(
        file, arguments=json.loads(arguments), run_name="nightly", experiment_name="flights", service_account="releases"
    )
    ended = client.wait_for_run_completion(started.run_id, timeout=30, sleep_duration=1)
    return {"pipeline": uploaded.pipeline_id, "run": started.run_id, "state": ended.state}


if __name__ == "__main__":
    print(json.dumps({"read": read, "again": again, "submit": submit}[sys.argv[1]](*sys.argv[2:])))
