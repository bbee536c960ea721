"""Functions, roles and waits for the tests of the cloud itself."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

CALLER = """
import boto3, functools, json, os, time
from botocore.exceptions import ClientError

client = functools.cache(boto3.client)

def handler(event, context):
    print("event", json.dumps(event))
    if "fail" in event:
        raise ValueError(event["fail"])
    time.sleep(event.get("sleep", 0))
    if "call" not in event:
        bucket, s3 = "{bucket}", client("s3")
        while "until" in event and not s3.list_objects_v2(Bucket=bucket, Prefix=event["until"])["KeyCount"]:
            time.sleep(0.1)
        s3.put_object(
            Bucket=bucket, Key="seen/" + context.aws_request_id, Body=json.dumps(event),
            Metadata={{"process": str(os.getpid())}},
        )
        return "seen"
    try:
        getattr(client(event["service"]), event["call"])(**event["with"])
    except ClientError as error:
        return {{"code": error.response["Error"]["Code"], "message": error.response["Error"]["Message"],
                "status": error.response["ResponseMetadata"]["HTTPStatusCode"]}}
    return "done"
"""


class Functions:
    """Makes functions of an account that call AWS, and tells what became of it; None is the cloud's own account."""

    def __init__(self, cloud: Any, account: str | None = None) -> None:
        self.cloud = cloud
        self.account = account

    def create(self, name: str, bucket: str = "none", source: str | None = None, **settings: Any) -> str:
        """A function with a role of the same name that may do nothing; returns its ARN."""
        trust = statement(Principal={"Service": "lambda.amazonaws.com"}, Action="sts:AssumeRole")
        iam = self.cloud.client("iam", account=self.account)
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("caller.py", source or CALLER.format(bucket=bucket))
        functions = self.cloud.client("lambda", account=self.account)
        arn = functions.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Role=role,
            Handler="caller.handler",
            Code={"ZipFile": archive.getvalue()},
            Timeout=20,
            **settings,
        )["FunctionArn"]
        functions.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )
        return arn

    def allow(self, name: str, **statements: Any) -> None:
        """Let the function's role do what the statement says."""
        self.cloud.client("iam", account=self.account).put_role_policy(
            RoleName=name, PolicyName="allow", PolicyDocument=statement(**statements)
        )

    def call(self, name: str, service: str, call: str, **arguments: Any) -> Any:
        """Have the function make one call; "done", or the error's code, message and status."""
        event = {"service": service, "call": call, "with": arguments}
        answer = self.cloud.client("lambda", account=self.account).invoke(FunctionName=name, Payload=json.dumps(event))
        assert "FunctionError" not in answer, answer["Payload"].read()
        return json.loads(answer["Payload"].read())


def statement(**parts: Any) -> str:
    """A policy of one allowing statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **parts}]})


@pytest.fixture(scope="session")
def policy() -> Callable[..., str]:
    """Writes a policy of one allowing statement."""
    return statement


@pytest.fixture(scope="session")
def functions_of() -> Callable[..., Functions]:
    """Functions of a given cloud, and account."""
    return Functions


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Asks until the answer is true, for five minutes at most, and returns it."""

    def ask(question: Callable[[], Any], seconds: float = 300) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := question()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return answer

    return ask
