"""A task of a state machine does what its role may do, and nothing else."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from .shared import OWNER, document

pytestmark = pytest.mark.e2e

QUEUE = f"arn:aws:sqs:us-east-1:{OWNER}:steps"
TABLE = f"arn:aws:dynamodb:us-east-1:{OWNER}:table/steps"
ITEM = {"pk": {"S": "a"}}


class Machines:
    """State machines of one task, with the role `steps`."""

    def __init__(self, cloud: Any) -> None:
        self.cloud, self.states, self.iam = cloud, cloud.client("stepfunctions"), cloud.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
        self.role = self.iam.create_role(RoleName="steps", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]

    def may(self, *statements: dict[str, Any]) -> None:
        self.iam.put_role_policy(RoleName="steps", PolicyName="p", PolicyDocument=document(*statements))

    def run(self, state: dict[str, Any], role: str = "") -> tuple[str, str]:
        """The status of an execution, and its error with the cause, or its output."""
        name = f"steps-{time.monotonic_ns()}"
        definition = json.dumps({"StartAt": "a", "States": {"a": {"End": True, **state}}})
        arn = self.states.create_state_machine(name=name, definition=definition, roleArn=role or self.role)
        execution = self.states.start_execution(stateMachineArn=arn["stateMachineArn"])["executionArn"]
        for _ in range(200):
            found = self.states.describe_execution(executionArn=execution)
            if found["status"] != "RUNNING":
                return found["status"], found.get("output") or f"{found.get('error')}: {found.get('cause')}"
            time.sleep(0.05)
        raise AssertionError(found)

    def task(self, resource: str, given: Any, role: str = "") -> tuple[str, str]:
        return self.run({"Type": "Task", "Resource": resource, "Parameters": given}, role)


@pytest.fixture(scope="module")
def machines(cloud, functions_of):
    client = cloud.client("dynamodb")
    client.create_table(
        TableName="steps",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.put_item(TableName="steps", Item={**ITEM, "v": {"S": "secret"}})
    cloud.client("sqs").create_queue(QueueName="steps")
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="steps")
    s3.put_object(Bucket="steps", Key="items", Body=b'["secret"]')
    functions_of(cloud).create("steps-function", source="def handler(event, context): return 'secret'")
    return Machines(cloud)


def url(machines: Machines) -> str:
    return machines.cloud.client("sqs").get_queue_url(QueueName="steps")["QueueUrl"]


FUNCTION = f"arn:aws:lambda:us-east-1:{OWNER}:function:steps-function"
READS = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "steps", "Key": "items"}}
LISTS = {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": "steps"}}
PASS = {"StartAt": "b", "ProcessorConfig": {"Mode": "DISTRIBUTED"}, "States": {"b": {"Type": "Pass", "End": True}}}
BY_SDK = "arn:aws:states:::aws-sdk:"
CASES = [
    ("dynamodb:GetItem", TABLE, "arn:aws:states:::dynamodb:getItem", {"TableName": "steps", "Key": ITEM}),
    ("dynamodb:GetItem", TABLE, f"{BY_SDK}dynamodb:getItem", {"TableName": "steps", "Key": ITEM}),
    ("sqs:SendMessage", QUEUE, "arn:aws:states:::sqs:sendMessage", {"QueueUrl": "steps", "MessageBody": "x"}),
    ("sqs:SendMessage", QUEUE, f"{BY_SDK}sqs:sendMessage", {"QueueUrl": "steps", "MessageBody": "x"}),
    ("lambda:InvokeFunction", FUNCTION, "arn:aws:states:::lambda:invoke", {"FunctionName": "steps-function"}),
    ("lambda:InvokeFunction", FUNCTION, FUNCTION, {}),
    ("iam:CreateUser", "*", f"{BY_SDK}iam:createUser", {"UserName": "made-by-steps"}),
    ("s3:ListBucket", "arn:aws:s3:::steps", f"{BY_SDK}s3:listObjectsV2", {"Bucket": "steps"}),
    ("lambda:GetFunction", FUNCTION, f"{BY_SDK}lambda:getFunction", {"FunctionName": "steps-function"}),
]


@pytest.mark.parametrize(("action", "arn", "resource", "given"), CASES, ids=lambda one: str(one)[-24:])
def test_a_task_needs_the_right_of_the_role_and_no_more(machines, action, arn, resource, given):
    given = {**given, "QueueUrl": url(machines)} if "QueueUrl" in given else given
    machines.may({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::nothing"})
    status, text = machines.task(resource, given)
    assert (status, "secret" in text) == ("FAILED", False), text
    assert action in text and "not authorized" in text, text
    machines.may({"Effect": "Allow", "Action": action, "Resource": arn})
    status, text = machines.task(resource, given)
    assert status == "SUCCEEDED", text
    machines.may(
        {"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": action, "Resource": arn}
    )
    assert machines.task(resource, given)[0] == "FAILED"


@pytest.mark.parametrize(
    ("action", "arn", "reader"),
    [("s3:GetObject", "arn:aws:s3:::steps/*", READS), ("s3:ListBucket", "arn:aws:s3:::steps", LISTS)],
)
def test_a_map_reads_its_items_with_the_rights_of_the_role(machines, action, arn, reader):
    state = {"Type": "Map", "ItemReader": reader, "ItemProcessor": PASS}
    machines.may({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::nothing"})
    status, text = machines.run(state)
    assert status == "FAILED" and "States.Permissions" in text and action in text
    machines.may({"Effect": "Allow", "Action": action, "Resource": arn})
    assert machines.run(state)[0] == "SUCCEEDED"


def test_a_role_that_does_not_trust_step_functions_lends_no_rights(machines):
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = machines.iam.create_role(RoleName="others", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    machines.iam.put_role_policy(
        RoleName="others", PolicyName="p", PolicyDocument=document({"Effect": "Allow", "Action": "*", "Resource": "*"})
    )
    status, text = machines.task(f"{BY_SDK}iam:createUser", {"UserName": "made-by-others"}, role)
    assert status == "FAILED" and "does not let states.amazonaws.com assume it" in text
    assert "made-by-others" not in str(machines.iam.list_users()["Users"])


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::sq.syncs:sendMessage",
        "arn:aws:states:::sqs.sync:sendMessage",
        "x:states:::lambda:invoke",
        "aws-sdk:iam:createUser",
        "arn:aws:states:::ecs:runTask",
        "arn:aws:lambda:us-east-1:1:function:f",
    ],
)
def test_a_resource_that_is_none_of_a_task_is_refused(machines, resource):
    machines.may({"Effect": "Allow", "Action": "*", "Resource": "*"})
    status, text = machines.task(resource, {"QueueUrl": url(machines), "MessageBody": "x", "UserName": "stolen"})
    assert status == "FAILED" and "expected a function, an activity, aws-sdk, or one of dynamodb" in text
