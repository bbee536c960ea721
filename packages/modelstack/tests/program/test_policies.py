"""Each role's policy, held against AWS's own tables of actions and resources, which cfn-lint carries.

Source: the Service Authorization Reference of AWS, as `cfnlint/data/AdditionalSpecs/Policies.json` has it.
"""

from __future__ import annotations

import fnmatch
import functools
import json
import re
from typing import Any

import pytest

from modelstack.platforms.aws.names import Names
from tests.needed import Right, all_needed, short
from tests.program.recorded import ACCOUNT, IMAGE, statements
from tests.program.recorded import run_program as run
from tests.tables import TABLES

WIDER = {
    # The table has the versions of a group, a listing has none yet; the user guide lets roles list with `*`.
    "sagemaker:ListModelPackages": ["*"],
    # The table has the version alone. The guide on sharing groups lets a role create by the group's ARN as well.
    "sagemaker:CreateModelPackage": ["arn:aws:sagemaker:us-east-1:000000000000:model-package-group/flight-delay-dev"],
}
"""Resources that we allow beside those of the table, and why."""
NO_RESOURCE = {"cloudwatch:GetMetricData", "cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"}
"""Actions of ours that AWS has no resource for: a condition narrows them where there is one."""


@functools.cache
def known() -> dict[str, Any]:
    return json.loads((TABLES / "AdditionalSpecs/Policies.json").read_text())


@functools.cache
def given() -> dict[str, list[dict[str, Any]]]:
    """The statements of each role's policy, of a stack that has all that there may be, with a pipeline and without."""
    more = {"retraining": {"enabled": True, "image": IMAGE}, "promotion": {"to": ["111122223333"]}}
    found: dict[str, list[dict[str, Any]]] = {}
    for engine in ("local", "sagemaker"):
        world = run("dev", serving={"image": IMAGE}, pipeline={"engine": engine}, **more)
        for item in world.all(":RolePolicy"):
            of_role = found.setdefault(item.name, [])
            of_role += [one for one in statements(item.inputs["policy"]) if one not in of_role]
    return found


OWN_ROLE = ("drift", "labels", "retrain")
FUNCTIONS = {"advance": "controller", **{name: name for name in OWN_ROLE}, "rollback": "controller"}
"""Function -> the role that it runs with."""
ROLES = (
    *("building", "controller", *OWN_ROLE, "pipeline", "promotion", "releasing", "schedules", "serving", "training"),
)


@pytest.mark.slow
def test_these_are_all_roles() -> None:
    assert sorted(given()) == sorted(ROLES)


def arns(service: str, action: str) -> list[str] | None:
    """Regular expressions of the ARNs that an action acts on; None when there is no such action."""
    found = known()[service]["Actions"].get(action.lower())
    if found is None:
        return None
    kinds = known()[service]["Resources"]
    texts = [text for kind in found.get("Resources", []) if kind in kinds for text in kinds[kind]["ARNFormats"]]
    return [re.sub(r"\$\{\w+\}", "[a-z0-9-]*", text) for text in texts]


@pytest.mark.parametrize("role", ROLES)
def test_every_action_exists_and_every_resource_is_one_that_it_acts_on(role: str) -> None:
    """A resource of another kind allows nothing, and says nothing about it."""
    for statement in given()[role]:
        check(role, statement)


@pytest.mark.parametrize("kind", ["app", "tracking_server"])
def test_so_does_every_action_with_which_a_managed_mlflow_is_told_and_keeps_files(kind: str) -> None:
    world = run("dev", serving={"image": IMAGE}, mlflow={"managed": kind})
    for role in ("controller", "mlflow"):
        for statement in world.allows(role):
            check(role, statement)


def check(role: str, statement: dict[str, Any]) -> None:
    used: set[str] = set()
    for action in statement["Action"]:
        formats = arns(*action.split(":"))
        assert formats is not None, f"{role}: AWS knows no action {action}"
        if not formats or action in NO_RESOURCE:
            assert statement["Resource"] == ["*"], f"{role}: {action} has no resource"
            continue
        fits = {arn for arn in statement["Resource"] if any(re.fullmatch(one, arn) for one in formats)}
        fits |= {*WIDER.get(action, ())} & {*statement["Resource"]}
        assert fits, f"{role}: {action} acts on none of {statement['Resource']}"
        used |= fits
    if statement["Resource"] != ["*"]:
        assert used == set(statement["Resource"]), f"{role}: no action of {statement['Action']} acts on the others"


KEYS = {
    "kms:Decrypt": {"artifacts"},
    "kms:GenerateDataKey": {"artifacts"},
    "kms:GetPublicKey": {"signing"},
    "kms:Sign": {"signing", "audit"},
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_uses_each_key_for_its_purpose_and_what_has_no_narrow_resource_has_a_condition(role: str) -> None:
    for statement in given()[role]:
        for action in statement["Action"]:
            assert "*" not in action
            if action.startswith("kms:"):
                assert {arn.partition(":key/")[2] for arn in statement["Resource"]} <= KEYS[action]
            if action in {"cloudwatch:PutMetricData", "iam:PassRole"}:
                assert statement["Condition"]


BY_AWS = {
    "logs:CreateLogGroup": "SageMaker makes the log of a container",
    "logs:CreateLogStream": "Lambda and SageMaker write the log",
    "logs:DescribeLogStreams": "SageMaker writes the log",
    "logs:PutLogEvents": "Lambda and SageMaker write the log",
    "kms:Decrypt": "S3 reads an object with the bucket's key",
    "kms:GenerateDataKey": "S3 writes an object with the bucket's key",
    "sqs:SendMessage": "Lambda leaves an event there that failed",
    "ecr:BatchCheckLayerAvailability": "SageMaker pulls the image",
    "ecr:BatchGetImage": "SageMaker pulls the image",
    "ecr:GetAuthorizationToken": "SageMaker pulls the image",
    "ecr:GetDownloadUrlForLayer": "SageMaker pulls the image",
}
"""What AWS does in a role's name where the local cloud does not: no call of it is ever seen."""
AS_SERVING = "SageMaker acts as the role where the local SageMaker, whose variants are processes, does not: CreateModel"
UNSEEN = {
    **{
        Right("serving", action, resource): f"{AS_SERVING} API, Execution Role Permissions"
        for action, resource in (
            ("s3:GetObject", "BUCKET/packages/*"),
            ("s3:ListBucket", "BUCKET"),
            ("s3:PutObject", "BUCKET/capture/*"),
            ("cloudwatch:PutMetricData", "*"),
        )
    },
    Right("serving", "cloudwatch:DescribeAlarms", "alarm:STACK-*"): "an update looks at the alarms that it names",
    Right("training", "cloudwatch:PutMetricData", "*"): "SageMaker puts the metrics of a job",
    Right("training", "sagemaker:CreateModelPackage", "model-package/STACK/*"): "see WIDER: which of both AWS asks for",
    Right(
        "training", "sagemaker:DescribeModelPackage", "model-package/STACK/*"
    ): "a package that is registered already",
    **{
        Right(role, "cloudwatch:PutMetricData", "*"): "SageMaker puts the metrics of a job"
        for role in ("building", "releasing")
    },
    Right(
        "releasing", "sagemaker:CreateModelPackage", "model-package/STACK/*"
    ): "see WIDER: which of both AWS asks for",
    Right(
        "releasing", "sagemaker:DescribeModelPackage", "model-package/STACK/*"
    ): "a package that is registered already",
    Right("releasing", "s3:PutObject", "BUCKET/pipeline/refused/*"): "the job refuses, when it finds other bytes",
    Right(
        "pipeline", "sagemaker:StopProcessingJob", "processing-job/pipelines-*"
    ): "an execution is stopped while it checks",
    Right(
        "retrain", "sagemaker:StopPipelineExecution", "pipeline/STACK/execution/*"
    ): "a person stops a retraining, which is over too soon in a story",
    Right("controller", "s3:GetObject", "BUCKET/audit/*"): "another call put the record at the same moment",
    Right("controller", "sagemaker:UpdateAction", "action/STACK-*"): "another verdict, or a function that starts anew",
    Right("retrain", "s3:ListBucket", "BUCKET"): "S3 says that a report is missing only to who may list",
    Right("labels", "sagemaker:DescribeModelPackage", "model-package/STACK/*"): "a release that the journal forgot",
    Right("schedules", "lambda:InvokeFunction", "function:STACK-labels"): "no story waits for its five minutes",
}
"""Rights that no recorded call has used, and why we give them all the same."""
NAMES = Names("flight-delay", "dev", ACCOUNT, "us-east-1")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_nothing_that_no_recorded_call_needed(role: str) -> None:
    """That it may do all that it does is shown by the same calls: they are held to the policy."""
    allowed = {
        Right(role, action, short(resource, NAMES))
        for item in given()[role]
        for action in item["Action"]
        for resource in item["Resource"]
    }
    shown = {right for right in all_needed() if right.role == role}
    assert {right for right in allowed - shown if right.action not in BY_AWS} == {
        right for right in UNSEEN if right.role == role
    }
    assert not shown - allowed, "the record names what the policy does not"
    assert not {right for right in shown if right.action in BY_AWS}, "an exception that is none"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_function_may_read_an_archive(function: str) -> None:
    """An archive is of any size, and a function has 512 MB. It reads single members, by the digests of the manifest."""
    archive = f"arn:aws:s3:::flight-delay-dev-artifacts-{ACCOUNT}/packages/{'d' * 64}/model.tar.gz"
    for statement in (item for item in given()[FUNCTIONS[function]] if "s3:GetObject" in item["Action"]):
        assert not [arn for arn in statement["Resource"] if fnmatch.fnmatch(archive, arn)]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_looks_for_files_may_list_the_bucket_without_a_prefix(role: str) -> None:
    """S3 answers 404 for a file that is not there only to who may list the bucket; a condition on a prefix, which no
    GetObject has, makes it 403, and what has gone is no longer told from what is refused.

    Source: GetObject, Amazon S3 API Reference, "Permissions".
    """
    for item in (statement for statement in given()[role] if "s3:ListBucket" in statement["Action"]):
        assert "Condition" not in item
