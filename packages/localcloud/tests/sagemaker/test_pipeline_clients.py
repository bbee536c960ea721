"""Pipelines of a real local cloud, as independent clients see them."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.processes import SERVER_MARK, marked

from .asked import (
    IMAGE,
    ROLE,
    TRAINER,
    callback_step,
    condition_step,
    fail_step,
    lambda_step,
    pipeline_of,
    process_step,
    token,
    train_step,
)
from .clients import eventually, run_sdk
from .conftest import Hold

pytestmark = pytest.mark.e2e

PIPELINE_BY_SDK = Path(__file__).with_name("pipeline_by_sdk.py")

JOBS = [f"sagemaker:{verb}{kind}Job" for verb in ("Create", "Describe", "Stop") for kind in ("Training", "Processing")]
PACKAGES = [f"sagemaker:{name}" for name in ("CreateModelPackage", "CreateModelPackageGroup", "DescribeModelPackage")]


def rights(stage: Any, *left_out: str) -> list[dict[str, Any]]:
    """What the role of a pipeline of the stage needs, and the role of its jobs, which is the same."""
    allowed = {
        "s3:*": [f"arn:aws:s3:::{stage.bucket}", f"arn:aws:s3:::{stage.bucket}/*"],
        "iam:PassRole": [f"arn:aws:iam::000000000000:role/{stage.prefix}-*"],
        "sqs:SendMessage": [f"arn:aws:sqs:us-east-1:000000000000:{stage.prefix}-*"],
        "lambda:InvokeFunction": [f"arn:aws:lambda:us-east-1:000000000000:function:{stage.prefix}-*"],
        **{action: ["*"] for action in (*JOBS, *PACKAGES, "sagemaker:AddTags")},
    }
    return [
        {"Effect": "Allow", "Action": action, "Resource": resources}
        for action, resources in allowed.items()
        if action not in left_out
    ]


def of_stage(stage: Any, role: str, step: dict[str, Any]) -> dict[str, Any]:
    """A step with the stage's role and bucket."""
    return json.loads(json.dumps(step).replace(ROLE, role).replace("s3://jobs", f"s3://{stage.bucket}/{stage.prefix}"))


def make(stage: Any, role: str, *steps: dict[str, Any], name: str = "flow") -> str:
    """Make a pipeline; answers its name."""
    request = pipeline_of(stage.name(name), *(of_stage(stage, role, step) for step in steps), role=role)
    stage.sagemaker.create_pipeline(**request)
    return request["PipelineName"]


def executed(stage: Any, arn: str, seconds: float = 200) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """An execution's description when it is over, and its steps by name."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        described = stage.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
        if described["PipelineExecutionStatus"] not in {"Executing", "Stopping"}:
            pages = stage.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
                PipelineExecutionArn=arn, SortOrder="Ascending", PaginationConfig={"PageSize": 2}
            )
            return described, {step["StepName"]: step for page in pages for step in page["PipelineExecutionSteps"]}
        time.sleep(0.05)
    raise AssertionError(f"{arn} is still {described}")


def start(stage: Any, pipeline: str) -> str:
    return stage.sagemaker.start_pipeline_execution(PipelineName=pipeline)["PipelineExecutionArn"]


def test_the_sagemaker_sdk_makes_runs_and_reads_a_pipeline(stage):
    role = stage.role(*rights(stage))
    files = {"processing/out/metrics.json": json.dumps({"summary": {"auc": 0.7}})}
    asked = {
        "name": stage.name("sdk"),
        "role": role,
        "bucket": stage.bucket,
        "folder": stage.prefix,
        "image": IMAGE,
        "program": str(TRAINER),
        "env": {"WISH_files": json.dumps(files)},
    }
    run_sdk(stage, PIPELINE_BY_SDK, json.dumps(asked), SAGEMAKER_VALIDATE_ROLE="false")


@pytest.mark.parametrize(
    ("left_out", "operation"),
    [
        ("sagemaker:AddTags", "CreateProcessingJob"),
        ("iam:PassRole", "CreateProcessingJob"),
        ("sagemaker:CreateProcessingJob", "CreateProcessingJob"),
        ("sagemaker:DescribeProcessingJob", "DescribeProcessingJob"),
    ],
)
def test_a_step_may_do_what_the_role_of_its_pipeline_may_and_no_more(stage, left_out, operation):
    role = stage.role(*rights(stage, left_out))
    pipeline = make(stage, role, process_step("A"))
    execution, steps = executed(stage, arn := start(stage, pipeline))
    assert execution["PipelineExecutionStatus"] == "Failed"
    reason = steps["A"]["FailureReason"]
    session = f"sagemaker-pipeline-{arn.rpartition('/')[2]}-A"
    assert reason.startswith(f"ClientError: Failed to invoke sagemaker:{operation}. Error Details: User: ")
    assert (
        f"assumed-role/{stage.name('role')}/{session} is not authorized to perform: {left_out} on resource: " in reason
    )


def test_a_caller_needs_rights_for_the_pipeline_and_to_pass_its_role(stage):
    role, iam, user = stage.role(*rights(stage)), stage.cloud.client("iam"), stage.name("user")
    iam.create_user(UserName=user)
    keys = iam.create_access_key(UserName=user)["AccessKey"]
    caller = stage.cloud.client("sagemaker", keys["AccessKeyId"], keys["SecretAccessKey"])
    request = pipeline_of(stage.name("flow"), fail_step("A", "x"), role=role)
    own = f"arn:aws:sagemaker:us-east-1:000000000000:pipeline/{stage.name('flow')}"

    def allow(*actions: str, resource: str) -> None:
        statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=user, PolicyName=f"{actions[0].rpartition(':')[2]}", PolicyDocument=document)

    allow("sagemaker:CreatePipeline", "sagemaker:StartPipelineExecution", resource=own)
    with pytest.raises(ClientError, match="is not authorized to perform: iam:PassRole on resource"):
        caller.create_pipeline(**request)
    allow("iam:PassRole", resource=role)
    with pytest.raises(ClientError, match="is not authorized to perform: sagemaker:AddTags on resource"):
        caller.create_pipeline(**request, Tags=[{"Key": "team", "Value": "flights"}])
    caller.create_pipeline(**request)
    arn = caller.start_pipeline_execution(PipelineName=stage.name("flow"))["PipelineExecutionArn"]
    with pytest.raises(ClientError, match=f"sagemaker:ListPipelineExecutionSteps on resource: {arn}"):
        caller.list_pipeline_execution_steps(PipelineExecutionArn=arn)
    allow("sagemaker:ListPipelineExecutionSteps", resource=f"{own}/execution/*")
    caller.list_pipeline_execution_steps(PipelineExecutionArn=arn)
    other = make(stage, role, fail_step("A", "x"), name="other")
    with pytest.raises(ClientError, match=r"sagemaker:StartPipelineExecution on resource: .*-other"):
        caller.start_pipeline_execution(PipelineName=other)


FUNCTION = "def handler(event, context):\n    return {'Rows': event['rows'] + 1, 'Region': 'here'}\n"


def function(stage: Any) -> str:
    """Make a function; answers its ARN."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("f.py", FUNCTION)
    made = stage.cloud.client("lambda").create_function(
        FunctionName=stage.name("count"),
        Runtime="python3.11",
        Role=stage.role(service="lambda", name="function"),
        Handler="f.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    return made["FunctionArn"]


def queue(stage: Any, name: str, *, of_events: bool = False) -> tuple[str, str]:
    """Make a queue, which may take events; answers its URL and ARN."""
    sqs = stage.cloud.client("sqs")
    url = sqs.create_queue(QueueName=stage.name(name))["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{stage.name(name)}"
    if of_events:
        allowed = {"Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **allowed}]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return url, arn


def received(stage: Any, url: str) -> list[dict[str, Any]]:
    sqs = stage.cloud.client("sqs")
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    for message in found:
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in found]


def test_functions_are_called_queues_are_asked_and_a_rule_hears_of_it(stage):
    count = lambda_step("Count", {"rows": 9}, Rows="Integer")
    count["FunctionArn"] = function(stage)
    asks, _ = queue(stage, "asks")
    told, target = queue(stage, "told", of_events=True)
    ask = callback_step("Ask", {"rows": {"Get": "Steps.Count.OutputParameters['Rows']"}}, queue=asks, Person="String")
    who = {"Std:Join": {"On": " ", "Values": ["refused by", {"Get": "Steps.Ask.OutputParameters['Person']"}]}}
    rows = {"Type": "Equals", "LeftValue": {"Get": "Steps.Count.OutputParameters['Rows']"}, "RightValue": 10}
    pipeline = make(
        stage, stage.role(*rights(stage)), count, ask, condition_step("Ten", [rows], yes=[fail_step("Refuse", who)])
    )
    events = stage.cloud.client("events")
    kinds = [f"SageMaker Model Building Pipeline Execution {kind}Status Change" for kind in ("", "Step ")]
    pattern = {"source": ["aws.sagemaker"], "detail-type": kinds, "resources": [{"suffix": f"pipeline/{pipeline}"}]}
    events.put_rule(Name=stage.name("r"), EventPattern=json.dumps(pattern))
    events.put_targets(Rule=stage.name("r"), Targets=[{"Id": "q", "Arn": target}])
    arn = start(stage, pipeline)
    (message,) = eventually(lambda: received(stage, asks))
    assert (message["pipelineExecutionArn"], message["arguments"]) == (arn, {"rows": 10})
    answer = [{"Name": "Person", "Value": "Ada"}]
    stage.sagemaker.send_pipeline_execution_step_success(CallbackToken=message["token"], OutputParameters=answer)
    execution, steps = executed(stage, arn)
    assert (execution["PipelineExecutionStatus"], steps["Refuse"]["FailureReason"]) == ("Failed", "refused by Ada")
    heard: list[dict[str, Any]] = []

    def all_heard() -> bool:
        heard.extend(event["detail"] for event in received(stage, told))
        return any(detail.get("currentPipelineExecutionStatus") == "Failed" for detail in heard)

    eventually(all_heard)
    last = {detail["stepName"]: detail for detail in heard if "stepName" in detail}
    assert {name: detail["currentStepStatus"] for name, detail in last.items()} == {
        name: step["StepStatus"] for name, step in steps.items()
    }
    assert last["Refuse"]["failureReason"] == "refused by Ada"
    assert last["Count"]["metadata"]["lambda"]["arn"] == count["FunctionArn"]


def left(stage: Any) -> list[int]:
    return marked(SERVER_MARK, str(stage.cloud.state.resolve()))


def test_an_execution_survives_the_kill_of_its_server(own_stage, tmp_path):
    stage, hold = own_stage, Hold(tmp_path / "holds")
    role = stage.role(*rights(stage))
    slow = train_step("Slow", wishes={"until": hold.until, "fork": "1"}, after=["First"])
    pipeline = make(stage, role, process_step("First"), slow, process_step("Last", after=["Slow"]))
    once = token()
    arn = stage.sagemaker.start_pipeline_execution(PipelineName=pipeline, **once)["PipelineExecutionArn"]
    eventually(lambda: Path(hold.until).with_suffix(".waits").exists())
    listed = stage.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    before = {step["StepName"]: step for step in listed}
    stage.cloud.kill()
    hold.release()
    stage.cloud.start()
    assert stage.sagemaker.start_pipeline_execution(PipelineName=pipeline, **once)["PipelineExecutionArn"] == arn
    execution, after = executed(stage, arn)
    assert execution["PipelineExecutionStatus"] == "Succeeded", after
    assert after["First"] == before["First"]
    assert after["Slow"]["Metadata"] != before["Slow"]["Metadata"]
    assert left(stage) == []
