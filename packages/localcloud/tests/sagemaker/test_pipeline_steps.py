"""What a step of each type does, without a network in front of SageMaker."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from .asked import (
    MODEL,
    callback_step,
    condition_step,
    evaluate_step,
    fail_step,
    lambda_step,
    model_step,
    parameter,
    register_step,
    token,
    train_step,
)
from .conftest import failure, run

pytestmark = pytest.mark.e2e


OUT = {"Get": "Steps.Evaluate.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}


def gate() -> dict[str, Any]:
    found = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Metrics"}, "Path": "summary.auc"}}
    least = {"Get": "Parameters.MinAuc"}
    message = {"Std:Join": {"On": " ", "Values": ["auc below", least]}}
    register = register_step("Register", MODEL)
    metrics = {"ContentType": "application/json", "S3Uri": {"Std:Join": {"On": "/", "Values": [OUT, "metrics.json"]}}}
    register["Arguments"]["ModelMetrics"] = {"ModelQuality": {"Statistics": metrics}}
    conditions = [{"Type": "GreaterThanOrEqualTo", "LeftValue": found, "RightValue": least}]
    return condition_step("Gate", conditions, yes=[register], no=[fail_step("Refuse", message)])


def test_a_model_is_trained_evaluated_and_registered_if_it_is_good_and_else_the_execution_fails(inside):
    least = parameter("MinAuc", "Float", 0.6)
    strict = [{"Name": "MinAuc", "Value": "0.9"}]

    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(train_step("Train"), evaluate_step(0.7), gate(), parameters=[least])
            execution, steps = await inside.executed(arn)
            assert execution["PipelineExecutionStatus"] == "Succeeded", steps
            assert list(steps) == ["Train", "Evaluate", "Gate", "Register"]
            assert {step["StepStatus"] for step in steps.values()} == {"Succeeded"}
            assert steps["Gate"]["Metadata"] == {"Condition": {"Outcome": "True"}}
            package = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
            assert package.endswith(":model-package/flights/1")
            described = await inside.call("DescribeModelPackage", ModelPackageName=package)
            job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"]
            name, identity = job.rpartition("/")[2], arn.rpartition("/")[2]
            assert name.startswith(f"pipelines-{identity}-Train-")
            (container,) = described["InferenceSpecification"]["Containers"]
            assert container["ModelDataUrl"] == f"s3://jobs/out/{name}/output/model.tar.gz"
            statistics = described["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
            assert (
                json.loads(inside.aws.objects["jobs", statistics.removeprefix("s3://jobs/")])["summary"]["auc"] == 0.7
            )
            tags = await inside.call("ListTags", ResourceArn=job)
            assert tags["Tags"] == [{"Key": "sagemaker:pipeline-execution-arn", "Value": arn}]

            refused = await inside.start("flow", PipelineParameters=strict)
            execution, steps = await inside.executed(refused)
            assert execution["PipelineExecutionStatus"] == "Failed"
            assert execution["FailureReason"] == "Step failure: One or multiple steps failed."
            assert list(steps) == ["Train", "Evaluate", "Gate", "Refuse"]
            assert (steps["Refuse"]["StepStatus"], steps["Refuse"]["FailureReason"]) == ("Failed", "auc below 0.9")
            assert steps["Refuse"]["Metadata"] == {"Fail": {"ErrorMessage": "auc below 0.9"}}
            given = await inside.call("ListPipelineParametersForExecution", PipelineExecutionArn=refused)
            assert given["PipelineParameters"] == strict
            given = await inside.call("ListPipelineParametersForExecution", PipelineExecutionArn=arn)
            assert given["PipelineParameters"] == [{"Name": "MinAuc", "Value": "0.6"}]
            while inside.bus.of_pipelines()[-1] != ("execution", "Failed"):
                await asyncio.sleep(0.01)  # an event is told right after what it tells of
        told = inside.bus.of_pipelines()
        assert told[0] == ("execution", "Executing")
        assert [status for name, status in told if name == "Train"][:3] == ["Starting", "Executing", "Succeeded"]

    run(scenario())


ASK = callback_step("Ask", {"stage": {"Get": "Parameters.Stage"}}, Rows="Integer", Good="Boolean")
ENOUGH = {"Type": "GreaterThan", "LeftValue": {"Get": "Steps.Ask.OutputParameters['Rows']"}, "RightValue": 9}
STAGE = parameter("Stage", "String", "dev")
ANSWER = [{"Name": "Rows", "Value": "10"}, {"Name": "Good", "Value": "true"}]


async def sent(inside: Any, number: int = 1) -> dict[str, Any]:
    """The message that was sent to the queue as the first, second ..."""
    while len(inside.aws.messages) < number:
        await asyncio.sleep(0.01)
    queue, body = inside.aws.messages[number - 1]
    assert queue == "https://queue"
    return json.loads(body)


def test_a_callback_waits_for_its_answer_once(inside):
    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(ASK, condition_step("Enough", [ENOUGH], yes=[], no=[]), parameters=[STAGE])
            message = await sent(inside)
            assert message == {
                "token": message["token"],
                "pipelineExecutionArn": arn,
                "arguments": {"stage": "dev"},
                "status": "Executing",
            }
            unknown = await failure(inside.call("SendPipelineExecutionStepSuccess", CallbackToken="0123456789"))
            assert unknown.code == "ResourceNotFound"
            answer = {"CallbackToken": message["token"]}
            await inside.call("SendPipelineExecutionStepSuccess", **answer, OutputParameters=ANSWER)
            execution, found = await inside.executed(arn)
            assert execution["PipelineExecutionStatus"] == "Succeeded"
            assert found["Ask"]["Metadata"]["Callback"] == {
                "CallbackToken": message["token"],
                "SqsQueueUrl": "https://queue",
                "OutputParameters": ANSWER,
            }
            assert found["Enough"]["Metadata"]["Condition"]["Outcome"] == "True"
            late = await failure(inside.call("SendPipelineExecutionStepFailure", **answer))
            assert late.code == "ConflictException"

    run(scenario())


@pytest.mark.parametrize(
    ("operation", "answer", "why"),
    [
        (
            "SendPipelineExecutionStepSuccess",
            {"OutputParameters": [{"Name": "Rows", "Value": "many"}, ANSWER[1]]},
            "ClientError: Output Rows of step Ask is 'many', not of type Integer",
        ),
        (
            "SendPipelineExecutionStepSuccess",
            {"OutputParameters": ANSWER[:1]},
            "ClientError: Output Good of step Ask is missing, given: Rows",
        ),
        (
            "SendPipelineExecutionStepFailure",
            {"FailureReason": "no person said yes"},
            "ClientError: no person said yes",
        ),
    ],
)
def test_a_callback_fails_by_its_answer(inside, operation, answer, why):
    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(ASK, parameters=[STAGE])
            await inside.call(operation, CallbackToken=(await sent(inside))["token"], **answer)
            _, found = await inside.executed(arn)
            assert found["Ask"]["FailureReason"] == why

    run(scenario())


def test_a_callback_waits_for_its_answer_also_when_the_execution_is_stopped(inside):
    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(ASK, parameters=[STAGE])
            await sent(inside)
            await inside.call("StopPipelineExecution", PipelineExecutionArn=arn, **token())
            told = await sent(inside, 2)
            assert told["status"] == "Stopping"
            described = await inside.call("DescribePipelineExecution", PipelineExecutionArn=arn)
            assert described["PipelineExecutionStatus"] == "Stopping"
            await inside.call("SendPipelineExecutionStepSuccess", CallbackToken=told["token"])
            execution, found = await inside.executed(arn)
            assert (execution["PipelineExecutionStatus"], found["Ask"]["StepStatus"]) == ("Stopped", "Stopped")

    run(scenario())


def test_a_function_gives_what_later_steps_use(inside):
    calls: list[tuple[str, Any]] = []

    def invoke(FunctionName: str, Payload: str) -> dict[str, Any]:
        given = json.loads(Payload)
        calls.append((FunctionName, given))
        if given["rows"] > 5:
            return {"FunctionError": "Unhandled", "Payload": inside.aws.body(b'{"errorMessage": "too many"}')}
        return {"Payload": inside.aws.body(json.dumps({"Message": "few", "Share": 0.5, "more": 1}).encode())}

    inside.aws.invoke = invoke
    function = lambda_step("Count", {"rows": {"Get": "Parameters.Rows"}}, Message="String", Share="Float")
    said = {
        "Std:Join": {
            "On": ": ",
            "Values": [{"Get": f"Steps.Count.OutputParameters['{n}']"} for n in ("Message", "Share")],
        }
    }

    async def scenario() -> None:
        async with inside.running():
            rows = parameter("Rows", "Integer", 3)
            first = await inside.execute(function, fail_step("Say", said), parameters=[rows])
            _, steps = await inside.executed(first)
            assert steps["Say"]["FailureReason"] == "few: 0.5"
            arn = "arn:aws:lambda:us-east-1:000000000000:function:count"
            shown = [{"Name": "Message", "Value": "few"}, {"Name": "Share", "Value": "0.5"}]
            assert steps["Count"]["Metadata"] == {"Lambda": {"Arn": arn, "OutputParameters": shown}}
            assert calls == [(arn, {"rows": 3})]
            many = [{"Name": "Rows", "Value": "6"}]
            _, steps = await inside.executed(await inside.start("flow", PipelineParameters=many))
            assert steps["Count"]["FailureReason"].startswith(f"ClientError: Lambda function {arn} failed (Unhandled)")
            assert set(steps) == {"Count"}

    run(scenario())


def test_a_model_is_made_with_the_name_of_its_execution_and_a_job_with_the_prefix_of_the_definition(inside):
    train = train_step("Train")
    train["Arguments"]["TrainingJobName"] = "nightly"

    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(train, model_step("Make", MODEL))
            execution, steps = await inside.executed(arn)
            assert execution["PipelineExecutionStatus"] == "Succeeded", steps
            model = steps["Make"]["Metadata"]["Model"]["Arn"].rpartition("/")[2]
            described = await inside.call("DescribeModel", ModelName=model)
        identity = arn.rpartition("/")[2]
        job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
        assert model.startswith(f"pipelines-{identity}-Make-")
        assert job.startswith(f"nightly-{identity}-")
        assert described["PrimaryContainer"]["ModelDataUrl"] == f"s3://jobs/out/{job}/output/model.tar.gz"
        assert described["PrimaryContainer"]["Mode"] == "SingleModel"

    run(scenario())
