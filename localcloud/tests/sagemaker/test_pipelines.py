"""Pipelines from definition to the end of an execution, without a network in front of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.job_runs import LOST
from localcloud.sagemaker.service_models import service_model

from .asked import (
    ROLE,
    callback_step,
    condition_step,
    fail_step,
    lambda_step,
    model_step,
    parameter,
    pipeline_of,
    process_step,
    register_step,
    token,
    train_step,
)
from .conftest import Failure, failure, ours, run

pytestmark = pytest.mark.e2e

MODEL = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
OUT = {"Get": "Steps.Evaluate.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
DAY = {"Enabled": True, "ExpireAfter": "P1D"}


def evaluate(auc: float, **more: Any) -> dict[str, Any]:
    """A step that reads the model and leaves a property file."""
    files = json.dumps({"processing/out/metrics.json": json.dumps({"summary": {"auc": auc}})})
    file = {"PropertyFileName": "Metrics", "OutputName": "out", "FilePath": "metrics.json"}
    step = process_step("Evaluate", wishes={"files": files}, files=[file], **more)
    source = {"S3Uri": MODEL, "LocalPath": "/opt/ml/processing/model", "S3DataType": "S3Prefix"}
    step["Arguments"]["ProcessingInputs"] = [{"InputName": "model", "S3Input": source}]
    return step


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
            arn = await inside.execute(train_step("Train"), evaluate(0.7), gate(), parameters=[least])
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


def test_steps_run_side_by_side_as_many_as_the_execution_allows(inside):
    hold = inside.hold()
    steps = [process_step(name, wishes={"until": hold.until}) for name in ("A", "B", "C")]

    async def running(arn: str) -> list[str]:
        return [name for name, step in (await inside.steps(arn)).items() if step["StepStatus"] == "Executing"]

    async def scenario() -> None:
        async with inside.running():
            limit = {"ParallelismConfiguration": {"MaxParallelExecutionSteps": 2}}
            arn = await inside.execute(*steps, process_step("Last", after=["A", "B", "C"]), **limit)
            while len(await running(arn)) < 2:
                await asyncio.sleep(0.01)
            assert set(await inside.steps(arn)) == {"A", "B"}
            more = {"ParallelismConfiguration": {"MaxParallelExecutionSteps": 3}}
            await inside.call("UpdatePipelineExecution", PipelineExecutionArn=arn, **more)
            while len(await running(arn)) < 3:
                await asyncio.sleep(0.01)
            hold.release()
            execution, found = await inside.executed(arn)
        assert execution["PipelineExecutionStatus"] == "Succeeded"
        assert list(found)[-1] == "Last"
        assert found["Last"]["StartTime"] >= max(found[name]["EndTime"] for name in ("A", "B", "C"))

    run(scenario())


def test_an_execution_that_is_stopped_stops_its_jobs_and_is_retried_from_where_it_was(inside):
    hold = inside.hold()
    steps = [train_step("Train"), process_step("Slow", wishes={"until": hold.until}, after=["Train"])]
    steps.append(process_step("Never", after=["Slow"]))

    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(*steps)
            await hold.reached()
            once = token()
            stopped = await inside.call("StopPipelineExecution", PipelineExecutionArn=arn, **once)
            assert await inside.call("StopPipelineExecution", PipelineExecutionArn=arn, **once) == stopped
            execution, found = await inside.executed(arn)
            assert ours(inside) == []
            assert execution["PipelineExecutionStatus"] == "Stopped"
            assert {name: step["StepStatus"] for name, step in found.items()} == {
                "Train": "Succeeded",
                "Slow": "Stopped",
            }
            again = await failure(inside.call("StopPipelineExecution", PipelineExecutionArn=arn, **token()))
            assert again.code == "ConflictException"
            hold.release()
            await inside.call("RetryPipelineExecution", PipelineExecutionArn=arn, **token())
            execution, retried = await inside.executed(arn)
            while inside.bus.of_pipelines()[-1][0] != "execution":
                await asyncio.sleep(0.01)
        assert execution["PipelineExecutionStatus"] == "Succeeded"
        assert retried["Train"] == found["Train"]
        assert (retried["Slow"]["AttemptCount"], retried["Never"]["AttemptCount"]) == (2, 1)
        assert retried["Slow"]["Metadata"] != found["Slow"]["Metadata"]
        assert [status for name, status in inside.bus.of_pipelines() if name == "execution"] == [
            *("Executing", "Stopping", "Stopped"),
            *("Executing", "Succeeded"),
        ]

    run(scenario())


def test_a_step_that_fails_lets_the_others_end_and_says_why(inside):
    hold = inside.hold()
    bad = process_step("Bad", wishes={"exit": "3", "lines": json.dumps(["no rows"])})
    good = process_step("Good", wishes={"until": hold.until})

    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(bad, good, process_step("Never", after=["Good"]))
            while (await inside.steps(arn)).get("Bad", {}).get("StepStatus") != "Failed":
                await asyncio.sleep(0.01)
            await hold.reached()
            hold.release()
            execution, steps = await inside.executed(arn)
        assert execution["PipelineExecutionStatus"] == "Failed"
        assert set(steps) == {"Bad", "Good"}
        assert steps["Good"]["StepStatus"] == "Succeeded"
        assert steps["Bad"]["FailureReason"].startswith("AlgorithmError: See job logs for more information")
        assert steps["Bad"]["FailureReason"].endswith("no rows")

    run(scenario())


def test_a_step_is_taken_from_the_cache_while_its_arguments_are_the_same_and_it_is_not_too_old(inside):
    def flow(**wishes: str) -> list[dict[str, Any]]:
        train = train_step("Train", wishes={"depth": {"Get": "Parameters.Depth"}}, cache=DAY)
        return [train, evaluate(0.7, cache=DAY), process_step("Other", wishes=wishes, after=["Train"])]

    async def scenario() -> None:
        async with inside.running():
            depth = parameter("Depth", "String", "3")
            first = await inside.execute(*flow(), parameters=[depth])
            _, before = await inside.executed(first)
            _, after = await inside.executed(await inside.start("flow"))
            hit = {"SourcePipelineExecutionArn": first}
            assert (after["Train"]["CacheHitResult"], after["Evaluate"]["CacheHitResult"]) == (hit, hit)
            assert after["Train"]["Metadata"] == before["Train"]["Metadata"]
            assert "CacheHitResult" not in after["Other"]
            other = [{"Name": "Depth", "Value": "4"}]
            _, another = await inside.executed(await inside.start("flow", PipelineParameters=other))
            assert not [name for name, step in another.items() if "CacheHitResult" in step]
            # The newest run that succeeded by itself is taken, through an update of the definition, too.
            changed = pipeline_of("flow", *flow(exit="0"), parameters=[depth])
            asked = {name: changed[name] for name in ("PipelineName", "PipelineDefinition")}
            assert (await inside.call("UpdatePipeline", **asked))["PipelineVersionId"] == 2
            _, third = await inside.executed(await inside.start("flow"))
            assert third["Train"]["CacheHitResult"] == hit
            old = flow()
            old[0]["CacheConfig"] = {"Enabled": True, "ExpireAfter": "T0M"}
            changed = pipeline_of("flow", *old, parameters=[depth])
            await inside.call("UpdatePipeline", **{name: changed[name] for name in asked})
            _, expired = await inside.executed(await inside.start("flow"))
            assert "CacheHitResult" not in expired["Train"]

    run(scenario())


def test_a_callback_waits_for_its_answer_also_when_the_execution_is_stopped(inside):
    ask = callback_step("Ask", {"stage": {"Get": "Parameters.Stage"}}, Rows="Integer", Good="Boolean")
    enough = {"Type": "GreaterThan", "LeftValue": {"Get": "Steps.Ask.OutputParameters['Rows']"}, "RightValue": 9}
    steps = (ask, condition_step("Enough", [enough], yes=[], no=[]))

    async def sent(number: int) -> dict[str, Any]:
        while len(inside.aws.messages) < number:
            await asyncio.sleep(0.01)
        queue, body = inside.aws.messages[number - 1]
        assert queue == "https://queue"
        return json.loads(body)

    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(*steps, parameters=[parameter("Stage", "String", "dev")])
            message = await sent(1)
            assert message == {
                "token": message["token"],
                "pipelineExecutionArn": arn,
                "arguments": {"stage": "dev"},
                "status": "Executing",
            }
            answer = {"CallbackToken": message["token"]}
            output = [{"Name": "Rows", "Value": "10"}, {"Name": "Good", "Value": "true"}]
            unknown = await failure(inside.call("SendPipelineExecutionStepSuccess", CallbackToken="0123456789"))
            assert unknown.code == "ResourceNotFound"
            await inside.call("SendPipelineExecutionStepSuccess", **answer, OutputParameters=output)
            execution, found = await inside.executed(arn)
            assert execution["PipelineExecutionStatus"] == "Succeeded"
            assert found["Ask"]["Metadata"]["Callback"] == {
                "CallbackToken": message["token"],
                "SqsQueueUrl": "https://queue",
                "OutputParameters": output,
            }
            assert found["Enough"]["Metadata"]["Condition"]["Outcome"] == "True"
            late = await failure(inside.call("SendPipelineExecutionStepFailure", **answer))
            assert late.code == "ConflictException"

            lacking = await inside.start("flow")
            wrong = {"CallbackToken": (await sent(2))["token"]}
            bad = [{"Name": "Rows", "Value": "many"}, output[1]]
            await inside.call("SendPipelineExecutionStepSuccess", **wrong, OutputParameters=bad)
            _, found = await inside.executed(lacking)
            assert found["Ask"]["FailureReason"] == (
                "ClientError: Output Rows of step Ask is 'many', not of type Integer"
            )

            failing = await inside.start("flow")
            token_of_it = {"CallbackToken": (await sent(3))["token"]}
            await inside.call("SendPipelineExecutionStepFailure", **token_of_it, FailureReason="no person said yes")
            _, found = await inside.executed(failing)
            assert found["Ask"]["FailureReason"] == "ClientError: no person said yes"

            stopped = await inside.start("flow")
            await sent(4)
            await inside.call("StopPipelineExecution", PipelineExecutionArn=stopped, **token())
            told = await sent(5)
            assert told["status"] == "Stopping"
            described = await inside.call("DescribePipelineExecution", PipelineExecutionArn=stopped)
            assert described["PipelineExecutionStatus"] == "Stopping"
            await inside.call("SendPipelineExecutionStepSuccess", CallbackToken=told["token"])
            execution, found = await inside.executed(stopped)
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


def test_a_step_is_tried_again_as_its_policy_says(inside):
    refused = iter(["ResourceLimitExceeded", "ResourceLimitExceeded"])
    policy = [{"ExceptionType": ["SageMaker.RESOURCE_LIMIT"], "IntervalSeconds": 1, "MaxAttempts": 3}]

    async def scenario() -> None:
        async with inside.faster(1000).running():
            ask = inside.roles.sagemaker

            def full(operation: str, request: Any) -> Any:
                code = next(refused, None) if operation == "CreateProcessingJob" else None
                if code:
                    raise ClientError({"Error": {"Code": code, "Message": "full"}}, operation)
                return ask(operation, request)

            inside.roles.sagemaker = full
            arn = await inside.execute(process_step("A", retries=policy))
            execution, steps = await inside.executed(arn)
            assert (execution["PipelineExecutionStatus"], steps["A"]["AttemptCount"]) == ("Succeeded", 3)

            inside.roles.sagemaker = lambda operation, request: full_for_ever(operation)
            await inside.call("CreatePipeline", **pipeline_of("none", process_step("A")))
            _, steps = await inside.executed(arn := await inside.start("none"))
            assert steps["A"]["FailureReason"] == (
                "ClientError: Failed to invoke sagemaker:CreateProcessingJob. Error Details: full\n"
                f"Retry not appropriate on execution of step with PipelineExecutionArn {arn} and StepId A. "
                "No retry policy configured for the exception type SAGEMAKER_RESOURCE_LIMIT."
            )

    def full_for_ever(operation: str) -> Any:
        raise ClientError({"Error": {"Code": "ResourceLimitExceeded", "Message": "full"}}, operation)

    run(scenario())


def test_a_step_that_is_tried_again_shows_the_job_that_runs_now(inside):
    policy = [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    shown: list[str] = []

    async def scenario() -> None:
        async with inside.faster(1000).running():
            ask = inside.roles.sagemaker

            def describe(operation: str, request: Any) -> Any:
                answer = ask(operation, request)
                if operation != "DescribeProcessingJob":
                    return answer
                (step,) = ask("ListPipelineExecutionSteps", {"PipelineExecutionArn": arn})["PipelineExecutionSteps"]
                shown.append(step["Metadata"]["ProcessingJob"]["Arn"])
                assert shown[-1] == answer["ProcessingJobArn"]
                first = {"ProcessingJobStatus": "Failed", "FailureReason": "InternalServerError: We encountered one."}
                return answer | (first if len(shown) == 1 else {})

            inside.roles.sagemaker = describe
            arn = await inside.execute(process_step("A", retries=policy))
            execution, steps = await inside.executed(arn)
        assert (execution["PipelineExecutionStatus"], steps["A"]["AttemptCount"]) == ("Succeeded", 2)
        assert len(set(shown)) == 2

    run(scenario())


def test_an_execution_goes_on_where_a_server_left_it(inside):
    hold = inside.hold()
    ask = callback_step("Ask", {})
    slow = train_step("Slow", wishes={"until": hold.until}, after=["Train"])
    steps = (train_step("Train"), slow, ask, process_step("Last", after=["Slow", "Ask"]))

    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(*steps)
            await hold.reached()
            while not inside.aws.messages:
                await asyncio.sleep(0.01)
            before = await inside.steps(arn)
        asked = json.loads(inside.aws.messages[0][1])
        hold.release()
        async with inside.running():
            await inside.call("SendPipelineExecutionStepSuccess", CallbackToken=asked["token"])
            execution, after = await inside.executed(arn)
            lost = before["Slow"]["Metadata"]["TrainingJob"]["Arn"]
            job = await inside.call("DescribeTrainingJob", TrainingJobName=lost.rpartition("/")[2])
        assert execution["PipelineExecutionStatus"] == "Succeeded"
        assert job["FailureReason"] == LOST
        assert after["Train"] == before["Train"]
        assert after["Slow"]["Metadata"]["TrainingJob"]["Arn"] != lost
        assert len(inside.aws.messages) == 1
        assert list(after) == ["Train", "Ask", "Slow", "Last"] or list(after) == ["Ask", "Train", "Slow", "Last"]

    run(scenario())


def test_selected_steps_build_upon_another_execution(inside):
    async def scenario() -> None:
        async with inside.running():
            steps = (train_step("Train"), evaluate(0.7), process_step("Last", after=["Evaluate"]))
            first = await inside.execute(*steps)
            _, before = await inside.executed(first)
            chosen = {"SelectedSteps": [{"StepName": "Evaluate"}]}
            lacking = await failure(inside.start("flow", SelectiveExecutionConfig=chosen))
            config = {**chosen, "SourcePipelineExecutionArn": first}
            execution, after = await inside.executed(await inside.start("flow", SelectiveExecutionConfig=config))
        assert lacking.message == (
            "Invalid SourcePipelineExecutionArn: null. The selected steps [Evaluate] have dependencies on [Train]"
        )
        assert execution["PipelineExecutionStatus"] == "Succeeded"
        assert execution["SelectiveExecutionConfig"] == config
        assert list(after) == ["Train", "Evaluate"]
        assert after["Train"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": first}
        assert after["Train"]["Metadata"] == before["Train"]["Metadata"]
        assert after["Evaluate"]["Metadata"] != before["Evaluate"]["Metadata"]

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

    run(scenario())


def test_pipelines_are_kept_in_versions_listed_and_deleted(inside):
    async def scenario() -> None:
        async with inside.running():
            first = pipeline_of("a", fail_step("A", "one"))
            made = await inside.call("CreatePipeline", **first, Tags=[{"Key": "team", "Value": "flights"}])
            assert await inside.call("CreatePipeline", **first) == made
            taken = await failure(inside.call("CreatePipeline", **{**first, **token()}))
            assert (taken.code, "already exists" in taken.message) == ("ValidationException", True)
            inside.aws.objects["definitions", "two.json"] = pipeline_of("a", fail_step("A", "two"))[
                "PipelineDefinition"
            ].encode()
            where = {"Bucket": "definitions", "ObjectKey": "two.json"}
            updated = {"PipelineName": "a", "PipelineDefinitionS3Location": where, "PipelineDescription": "second"}
            assert (await inside.call("UpdatePipeline", **updated))["PipelineVersionId"] == 2
            assert (await inside.call("UpdatePipeline", PipelineName="a", PipelineDisplayName="A"))[
                "PipelineVersionId"
            ] == 2
            arn = made["PipelineArn"]
            named = {"PipelineVersionDisplayName": "first", "PipelineVersionId": 1}
            await inside.call("UpdatePipelineVersion", PipelineArn=arn, **named)
            now = await inside.call("DescribePipeline", PipelineName=arn)
            assert (now["PipelineDisplayName"], now["PipelineDescription"]) == ("A", "second")
            assert '"two"' in now["PipelineDefinition"]
            then = await inside.call("DescribePipeline", PipelineName="a", PipelineVersionId=1)
            assert ('"one"' in then["PipelineDefinition"], then["PipelineVersionDisplayName"]) == (True, "first")
            execution = await inside.start("a", PipelineVersionId=1)
            _, steps = await inside.executed(execution)
            assert steps["A"]["FailureReason"] == "one"
            ran = await inside.call("DescribePipelineDefinitionForExecution", PipelineExecutionArn=execution)
            assert ran["PipelineDefinition"] == then["PipelineDefinition"]
            (second, one) = (await inside.call("ListPipelineVersions", PipelineName="a"))["PipelineVersionSummaries"]
            assert (second["PipelineVersionId"], one["LastExecutionPipelineExecutionArn"]) == (2, execution)
            once = token()
            again = await inside.start("a", **once)
            assert await inside.start("a", **once) == again
            await inside.executed(again)
            page = await inside.call("ListPipelineExecutions", PipelineName="a", MaxResults=1)
            assert [one["PipelineExecutionArn"] for one in page["PipelineExecutionSummaries"]] == [again]
            rest = await inside.call(
                "ListPipelineExecutions", PipelineName="a", MaxResults=1, NextToken=page["NextToken"]
            )
            assert [one["PipelineExecutionArn"] for one in rest["PipelineExecutionSummaries"]] == [execution]
            assert (await inside.call("ListTags", ResourceArn=arn))["Tags"] == [{"Key": "team", "Value": "flights"}]
            await inside.call("CreatePipeline", **pipeline_of("ab", fail_step("A", "x")))
            listed = await inside.call("ListPipelines", PipelineNamePrefix="a", SortBy="Name", SortOrder="Ascending")
            assert [one["PipelineName"] for one in listed["PipelineSummaries"]] == ["a", "ab"]
            await inside.call("DeletePipeline", PipelineName="a", **token())
            for operation, asked in {
                "DescribePipeline": {"PipelineName": "a"},
                "DescribePipelineExecution": {"PipelineExecutionArn": execution},
                "ListPipelineExecutionSteps": {"PipelineExecutionArn": execution},
            }.items():
                assert (await failure(inside.call(operation, **asked))).code == "ResourceNotFound"

    run(scenario())


def test_a_pipeline_that_is_executed_is_not_deleted(inside):
    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(callback_step("Ask", {}))
            refused = await failure(inside.call("DeletePipeline", PipelineName="flow", **token()))
            assert refused.code == "ConflictException"
            assert arn in refused.message

    run(scenario())


@pytest.mark.parametrize(
    ("start", "why"),
    [
        ({}, "Parameter Rows has no DefaultValue, and no value was given."),
        ({"Rows": "many"}, "Parameter Rows is of type Integer, not 'many'."),
        ({"Rows": "1_000"}, "Parameter Rows is of type Integer, not '1_000'."),
        ({"Rows": "1", "Stage": "test"}, "Parameter Stage is one of dev, prod, not 'test'."),
        ({"Rows": "1", "Other": "1"}, "Parameter Other is not one of the pipeline's: Rows, Stage."),
    ],
)
def test_an_execution_needs_a_good_value_for_each_parameter(inside, start, why):
    parameters = [parameter("Rows", "Integer"), {**parameter("Stage", "String", "dev"), "EnumValues": ["dev", "prod"]}]
    given = [{"Name": name, "Value": value} for name, value in start.items()]

    async def scenario() -> None:
        async with inside.running():
            await inside.call("CreatePipeline", **pipeline_of("flow", fail_step("A", "x"), parameters=parameters))
            refused = await failure(inside.start("flow", PipelineParameters=given))
            assert refused.message == why
            executions = await inside.call("ListPipelineExecutions", PipelineName="flow")
            assert executions["PipelineExecutionSummaries"] == []

    run(scenario())


def test_every_operation_of_pipelines_and_processing_jobs_is_there(inside):
    every = service_model("sagemaker").metadata["operations"]
    names = [name for name in every if "Pipeline" in name or name.endswith(("ProcessingJob", "ProcessingJobs"))]

    async def scenario() -> None:
        async with inside.running():
            for name in names:
                try:
                    await inside.call(name)
                except Failure as refused:
                    assert refused.code != "UnknownOperationException", name
        assert len(names) == 23

    run(scenario())


def test_a_role_that_does_not_trust_sagemaker_is_refused(inside):
    async def scenario() -> None:
        async with inside.running():
            wanted = pipeline_of("flow", fail_step("A", "x"), role=f"{ROLE}-none")
            refused = await failure(inside.call("CreatePipeline", **wanted))
            assert refused.message.startswith(f"Could not assume role {ROLE}-none.")

    run(scenario())
