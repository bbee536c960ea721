"""Pipelines from definition to the end of an execution, without a network in front of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .asked import (
    condition_step,
    fail_step,
    parameter,
    process_step,
    register_step,
    train_step,
)
from .conftest import run

pytestmark = pytest.mark.e2e

MODEL = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}


def evaluate(auc: float) -> dict[str, Any]:
    """A step that reads the model and leaves a property file."""
    files = json.dumps({"processing/out/metrics.json": json.dumps({"summary": {"auc": auc}})})
    step = process_step("Evaluate", wishes={"files": files})
    step["PropertyFiles"] = [{"PropertyFileName": "Metrics", "OutputName": "out", "FilePath": "metrics.json"}]
    source = {"S3Uri": MODEL, "LocalPath": "/opt/ml/processing/model", "S3DataType": "S3Prefix"}
    step["Arguments"]["ProcessingInputs"] = [{"InputName": "model", "S3Input": source}]
    return step


def gate() -> dict[str, Any]:
    found = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Metrics"}, "Path": "summary.auc"}}
    least = {"Get": "Parameters.MinAuc"}
    conditions = [{"Type": "GreaterThanOrEqualTo", "LeftValue": found, "RightValue": least}]
    message = {"Std:Join": {"On": " ", "Values": ["auc below", least]}}
    return condition_step("Gate", conditions, yes=[register_step("Register", MODEL)], no=[fail_step("Refuse", message)])


def test_a_model_is_trained_evaluated_and_registered_if_it_is_good(inside):
    async def scenario() -> None:
        async with inside.running():
            least = parameter("MinAuc", "Float", 0.6)
            arn = await inside.execute(train_step("Train"), evaluate(0.7), gate(), parameters=[least])
            execution, steps = await inside.executed(arn)
            assert execution["PipelineExecutionStatus"] == "Succeeded", steps
            assert list(steps) == ["Train", "Evaluate", "Gate", "Register"]

    run(scenario())
