"""What a request needs beside its action: the right to hand over a role, to read code, to use a key."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.server.dependent_actions import needs

from .shared import OTHER, OWNER, SOURCE, document

ROLE = f"arn:aws:iam::{OWNER}:role/beside"


def passes(service: str) -> tuple[str, str, dict[str, str]]:
    return "iam:PassRole", ROLE, {"iam:PassedToService": f"{service}.amazonaws.com"}


@pytest.mark.parametrize(
    ("service", "given"),
    [
        ("lambda", {"FunctionName": "f", "Role": ROLE, "Code": {"ZipFile": "UEs="}}),
        ("scheduler", {"Name": "s", "Target": {"Arn": "arn:x", "RoleArn": ROLE}}),
        ("events", {"Rule": "r", "Targets": [{"Id": "1", "Arn": "arn:x"}, {"Id": "2", "RoleArn": ROLE}]}),
        ("events", {"Name": "r", "RoleArn": ROLE}),
        ("states", {"name": "m", "roleArn": ROLE}),
    ],
)
def test_a_role_that_is_handed_over_needs_the_right_to_pass_it_to_that_service(service, given):
    assert list(needs(service, given)) == [passes(service)]


def test_code_in_a_bucket_needs_the_right_to_read_that_object():
    place = {"S3Bucket": "b", "S3Key": "k/f.zip"}
    read = ("s3:GetObject", "arn:aws:s3:::b/k/f.zip", {})
    assert list(needs("lambda", {"Code": place})) == [read]
    assert list(needs("lambda", place)) == [read], "UpdateFunctionCode has it at the top"
    assert list(needs("lambda", {"Content": {**place, "S3ObjectVersion": "1"}})) == [("s3:GetObjectVersion", *read[1:])]


@pytest.mark.parametrize("given", [{}, {"Targets": "x"}, {"Target": []}, {"Code": "x"}, {"Role": ""}, {"Targets": [1]}])
def test_a_request_that_names_neither_needs_nothing_more(given):
    assert list(needs("lambda", given)) == []


def refused(call: Any, **given: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**given)
    assert "AccessDenied" in caught.value.response["Error"]["Code"]
    return caught.value.response["Error"]["Message"]


@pytest.fixture(scope="module")
def own_role(cloud):
    """A role of the other account, which functions there may have."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam = cloud.client("iam", account=OTHER)
    return iam.create_role(RoleName="beside", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]


@pytest.mark.e2e
def test_a_function_has_no_code_of_another_accounts_bucket_unless_that_is_opened(cloud, own_role):
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("f.py", SOURCE)
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="beside-code")
    s3.put_object(Bucket="beside-code", Key="f.zip", Body=code.getvalue())
    function = {"FunctionName": "beside", "Runtime": "python3.11", "Role": own_role, "Handler": "f.handler"}
    wanted = {**function, "Code": {"S3Bucket": "beside-code", "S3Key": "f.zip"}}
    functions = cloud.client("lambda", account=OTHER)
    assert "s3:GetObject" in refused(functions.create_function, **wanted)
    opened = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "s3:GetObject"}
    s3.put_bucket_policy(Bucket="beside-code", Policy=document({**opened, "Resource": "arn:aws:s3:::beside-code/*"}))
    assert functions.create_function(**wanted)["FunctionName"] == "beside"
    s3.delete_bucket_policy(Bucket="beside-code")
    assert "s3:GetObject" in refused(functions.update_function_code, FunctionName="beside", **wanted["Code"])


@pytest.mark.e2e
def test_nothing_takes_a_role_of_another_account(cloud):
    cloud.client("iam").create_role(RoleName="beside", AssumeRolePolicyDocument=document())
    target = {"Arn": f"arn:aws:lambda:us-east-1:{OTHER}:function:none", "RoleArn": ROLE}
    timed = {"ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": {"Mode": "OFF"}}
    scheduler = cloud.client("scheduler", account=OTHER)
    assert "iam:PassRole" in refused(scheduler.create_schedule, Name="beside", Target=target, **timed)
    events = cloud.client("events", account=OTHER)
    events.put_rule(Name="beside", ScheduleExpression="rate(1 day)")
    assert "iam:PassRole" in refused(events.put_targets, Rule="beside", Targets=[{"Id": "1", **target}])


@pytest.mark.e2e
def test_an_object_is_written_under_another_accounts_key_only_if_its_policy_allows_it(cloud):
    kms, s3 = cloud.client("kms"), cloud.client("s3", account=OTHER)
    key = kms.create_key()["KeyMetadata"]["Arn"]
    s3.create_bucket(Bucket="beside-own")
    put = {"Bucket": "beside-own", "Key": "k", "ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    assert "kms:GenerateDataKey" in refused(s3.put_object, Body=b"x", **put)
    owner = {"Effect": "Allow", "Principal": {"AWS": OWNER}, "Action": "kms:*", "Resource": "*"}
    opened = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "kms:GenerateDataKey", "Resource": "*"}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(owner, opened))
    assert s3.put_object(Body=b"x", **put)["SSEKMSKeyId"] == key


@pytest.mark.e2e
def test_making_a_function_needs_the_right_to_pass_its_role(cloud, own_role):
    iam = cloud.client("iam", account=OTHER)
    iam.create_user(UserName="beside")
    keys = iam.create_access_key(UserName="beside")["AccessKey"]
    functions = cloud.client("lambda", keys["AccessKeyId"], keys["SecretAccessKey"])
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("f.py", SOURCE)
    wanted = {"FunctionName": "passed", "Runtime": "python3.11", "Role": own_role, "Handler": "f.handler"}
    makes = {"Effect": "Allow", "Action": "lambda:CreateFunction", "Resource": "*"}
    iam.put_user_policy(UserName="beside", PolicyName="p", PolicyDocument=document(makes))
    assert "iam:PassRole" in refused(functions.create_function, **wanted, Code={"ZipFile": code.getvalue()})
    hands = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": own_role}
    hands["Condition"] = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    iam.put_user_policy(UserName="beside", PolicyName="p", PolicyDocument=document(makes, hands))
    assert functions.create_function(**wanted, Code={"ZipFile": code.getvalue()})["FunctionName"] == "passed"
