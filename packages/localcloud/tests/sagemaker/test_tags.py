"""Tags: given, listed, replaced and taken; and which keys are refused."""

from __future__ import annotations

import pytest

from .asked import IMAGE
from .conftest import failure, run

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
TWICE = [{"Key": "team", "Value": "a"}, {"Key": "team", "Value": "b"}]


def test_tags_can_be_given_listed_replaced_and_taken(inside):
    async def scenario():
        async with inside.running():
            tags = [{"Key": "stack", "Value": "local"}, {"Key": "team", "Value": "a"}]
            created = await inside.call("CreateModelPackageGroup", ModelPackageGroupName="g", Tags=tags)
            arn = created["ModelPackageGroupArn"]
            assert (await inside.call("ListTags", ResourceArn=arn))["Tags"] == tags
            await inside.call("AddTags", ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}])
            await inside.call("DeleteTags", ResourceArn=arn, TagKeys=["stack", "unknown"])
            assert (await inside.call("ListTags", ResourceArn=arn))["Tags"] == [{"Key": "team", "Value": "b"}]
            many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
            refused = await failure(inside.call("AddTags", ResourceArn=arn, Tags=many))
            assert refused.code == "ResourceLimitExceeded"
            described = await inside.call("DescribeModelPackageGroup", ModelPackageGroupName="g")
            assert "Tags" not in described

    run(scenario())


@pytest.mark.parametrize(
    ("operation", "request_", "message"),
    [
        (
            "CreateModel",
            {"ModelName": "x", "PrimaryContainer": {"Image": IMAGE}, "Tags": TWICE},
            "Duplicate tag key: team",
        ),
        (
            "CreateModel",
            {"ModelName": "x", "PrimaryContainer": {"Image": IMAGE}, "Tags": [{"Key": "AWS:team", "Value": "a"}]},
            "System prefix 'aws:' reserved for AWS usage in tag key: AWS:team",
        ),
        (
            "DeleteTags",
            {"ResourceArn": f"{ARN}:model/x", "TagKeys": ["aws:cloudformation:stack-name"]},
            "System prefix 'aws:' reserved for AWS usage in tag key: aws:cloudformation:stack-name",
        ),
        ("AddTags", {"ResourceArn": f"{ARN}:model/x", "Tags": TWICE}, "Duplicate tag key: team"),
    ],
)
def test_a_key_that_is_awss_own_or_given_twice_is_refused_in_awss_words(inside, operation, request_, message):
    async def scenario():
        async with inside.running():
            refused = await failure(inside.call(operation, **request_))
            assert (refused.code, refused.message) == ("ValidationException", message)

    run(scenario())
