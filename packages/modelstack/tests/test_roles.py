"""The roles that CI takes on AWS may do what a stack's life needs, and act on that stack alone.

Source of what a resource's life needs: the permissions that CloudFormation's handlers name, and of actions and
resources: the Service Authorization Reference; both as cfn-lint carries them.
"""

from __future__ import annotations

import fnmatch
import json
import re
from typing import Any

import pytest

from modelstack.platforms.aws.names import Names
from modelstack.services.approvals import APPROVALS
from tests.program.recorded import ACCOUNT, IMAGE, run_program
from tests.program.test_policies import arns, known
from tests.tables import TABLES

from .conftest import ROOT

ROLES = ROOT / ".github" / "roles"
MADE_BY = {
    "cloudwatch/compositeAlarm": "CloudWatch::CompositeAlarm",
    "cloudwatch/dashboard": "CloudWatch::Dashboard",
    "cloudwatch/eventRule": "Events::Rule",
    "cloudwatch/eventTarget": "Events::Rule",
    "cloudwatch/logGroup": "Logs::LogGroup",
    "cloudwatch/metricAlarm": "CloudWatch::Alarm",
    "lambda/eventSourceMapping": "Lambda::EventSourceMapping",
    "s3/bucketLifecycleConfiguration": "S3::Bucket",
    "s3/bucketNotification": "S3::Bucket",
    "s3/bucketPublicAccessBlock": "S3::Bucket",
    "s3/bucketServerSideEncryptionConfiguration": "S3::Bucket",
    "s3/bucketVersioning": "S3::Bucket",
    "sagemaker/endpointConfiguration": "SageMaker::EndpointConfig",
    "sns/topicSubscription": "SNS::Subscription",
}
"""Our types -> CloudFormation's, where they are not called the same."""
SERVICES = {"dynamodb": "DynamoDB", "iam": "IAM", "kms": "KMS", "sagemaker": "SageMaker", "sns": "SNS", "sqs": "SQS"}
NOT_OURS = re.compile(
    r"(application-autoscaling|ec2|elasticfilesystem|firehose|kinesis|lakeformation|s3files|s3tables|secretsmanager"
    r"|synthetics|serverlessrepo|kafka|mq|rds|dsql|glue|redshift):.*"
    r"|.*[Aa]uto[Ss]caling.*|.*CodeSigning.*|.*LayerVersion.*|.*CapacityProvider.*|.*Insight.*|.*PermissionsBoundary"
    r"|(iam:CreateServiceLinkedRole|iam:.*User.*|iam:.*Group.*|kms:CreateGrant|kms:ListGrants|s3:ListAllMyBuckets)"
    r"|logs:.*(Delivery|ResourcePolic|IndexPolic|Transformer|DataProtection|SubscriptionFilter).*"
)
"""What CloudFormation would need for features that no stack of ours has."""


def allowed(name: str) -> list[dict[str, Any]]:
    """What a role's policy allows, for stack `dev` of the default model."""
    return [statement for statement in written(name) if statement["Effect"] == "Allow"]


def written(name: str) -> list[dict[str, Any]]:
    """The statements of a role's policy."""
    text = (ROLES / f"{name}.json").read_text()
    words = {"SOURCE_": "", "PREFIX": "flight-delay-dev", "ACCOUNT": ACCOUNT, "REGION": "us-east-1"}
    for word, value in words.items():
        text = text.replace(word, value)
    return json.loads(text)["Statement"]


SCHEMAS = TABLES / "schemas"


def life(type_: str) -> set[str]:
    """What the life of one of CloudFormation's types needs."""
    index = json.loads((SCHEMAS / "providers/us-east-1.json").read_text())
    steps = json.loads((SCHEMAS / f"resources/{index[type_]}.json").read_text()).get("handlers", {})
    return {
        action
        for step in ("create", "read", "update", "delete")
        for action in steps.get(step, {}).get("permissions", ())
    }


def declared_types() -> set[str]:
    retraining, pipeline = {"enabled": True, "image": IMAGE}, {"engine": "sagemaker"}
    world = run_program("dev", serving={"image": IMAGE}, retraining=retraining, pipeline=pipeline)
    return {item.type for item in world.resources if item.type.startswith("aws:")}


def cloudformation(token: str) -> str:
    """CloudFormation's name of one of our types, such as `aws:sqs/queue:Queue`."""
    _, module, name = token.split(":")
    service = module.partition("/")[0]
    named = SERVICES.get(service, service.upper() if len(service) == 3 else service.capitalize())
    return f"AWS::{MADE_BY.get(module, f'{named}::{name}')}"


@pytest.mark.parametrize("token", sorted(declared_types()))
def test_the_deploy_role_may_make_read_change_and_delete_every_type_of_a_stack(token: str) -> None:
    needed = {action for action in life(cloudformation(token)) if not NOT_OURS.fullmatch(action)}
    assert needed, "nothing is known of this type"
    may = [action for statement in allowed("deploy") for action in statement["Action"]]
    lacking = {one for one in needed if not any(fnmatch.fnmatch(one.lower(), pattern.lower()) for pattern in may)}
    assert not lacking


BESIDE = {
    "State": "Pulumi keeps the state in a bucket",
    "StateSecrets": "Pulumi keeps its secrets under a key",
    "SageMakerArtifacts": "an update writes the lineage of what it registers, and a destroy deletes it",
    "SageMakerLists": "an update looks for the package that it registers, and for its lineage",
    "FunctionMappings": "no mapping has a name that we choose",
    "PipelineJobs": "an update reads where a cached training job stored its model; SageMaker names the job",
    "JobLogs": "an update tells the last lines of the jobs of an execution, which SageMaker names",
    "Metrics": "an update carries a trial on while it waits for the verdict",
    "ImageLogin": "`modelstack image` pushes the image",
    "iam:*RoleTags": "a refresh reads the tags of a role",
    "iam:ListInstanceProfilesForRole": "Terraform's provider takes a role out of profiles before it deletes it",
}
"""What the deploy role may do beside what a resource's life needs: statement or action -> why."""


def test_the_deploy_role_may_do_nothing_that_no_life_of_a_resource_needs() -> None:
    """That it may do all that an update and a preview do is shown by the story of a release, whose commands take it."""
    needed = {action.lower() for token in declared_types() for action in life(cloudformation(token))}
    for statement in allowed("deploy"):
        for pattern in statement["Action"]:
            if BESIDE.keys().isdisjoint({statement["Sid"], pattern}):
                assert fnmatch.filter(needed, pattern.lower()), f"{statement['Sid']}: nothing needs {pattern}"


def test_what_deploys_approves_nothing() -> None:
    (denied,) = (one for one in written("deploy") if one["Effect"] == "Deny")
    bucket = Names("flight-delay", "dev", ACCOUNT, "us-east-1").bucket
    assert (denied["Action"], denied["Resource"]) == (["s3:PutObject"], [f"arn:aws:s3:::{bucket}/{APPROVALS}/*"])


@pytest.mark.parametrize("role", ["deploy", "preview"])
def test_a_role_acts_on_one_stack_and_on_pulumis_state_alone(role: str) -> None:
    """`*` stands only where AWS has no resource, or none whose name we choose."""
    for statement in allowed(role):
        for arn in statement["Resource"]:
            ours = "flight-delay-dev" in arn or "STATE_BUCKET" in arn or "SECRETS_KEY" in arn
            assert ours or statement["Sid"] in {
                *(
                    "FunctionMappings",
                    "ImageLogin",
                    "JobLogs",
                    "Key",
                    "Keys",
                    "LogLists",
                    "Metrics",
                    "PackagesKey",
                    "PipelineJobs",
                    "SageMakerArtifacts",
                    "SageMakerLists",
                )
            }, arn


@pytest.mark.parametrize("role", ["deploy", "preview", "promote"])
def test_each_statement_of_a_role_has_resources_that_its_actions_act_on(role: str) -> None:
    for statement in allowed(role):
        if statement["Resource"] == ["*"]:
            continue
        formats: set[str] = set()
        for pattern in statement["Action"]:
            service, _, name = pattern.partition(":")
            actions = fnmatch.filter(known()[service]["Actions"], name.lower())
            assert actions, f"{role}: AWS knows no action {pattern}"
            formats |= {one for action in actions for one in arns(service, action) or ()}
        for arn in statement["Resource"]:
            assert any(re.fullmatch(one, arn) for one in formats), f"{role}: {statement['Sid']} does nothing on {arn}"


def test_a_role_that_promotes_reads_of_its_source_what_the_source_shows_other_accounts_and_may_assume_that_role() -> (
    None
):
    shown = run_program("dev", serving={"image": IMAGE}, promotion={"to": ["222222222222"]}).allows("promotion")
    *reads, assumes = allowed("promote")

    def pairs(statements: list[dict[str, Any]]) -> set[tuple[str, str]]:
        rights = {(action, arn) for one in statements for action in one["Action"] for arn in one["Resource"]}
        return {(action, "" if action == "kms:Decrypt" else arn) for action, arn in rights}

    assert pairs(reads) == pairs(shown)
    names = Names("flight-delay", "dev", ACCOUNT, "us-east-1")
    assert (assumes["Action"], assumes["Resource"]) == (["sts:AssumeRole"], [names.role_arn(names.promotion_role)])


def test_the_deploy_role_may_read_the_jobs_of_an_execution() -> None:
    """Read by `modelstack.platforms.aws.executions`, which looks for the outputs of steps that were not run again."""
    (jobs,) = [one for one in allowed("deploy") if "sagemaker:DescribeTrainingJob" in one["Action"]]
    assert jobs["Resource"] == [f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/pipelines-*"]


def test_the_preview_role_reads_and_changes_nothing() -> None:
    actions = {action for statement in allowed("preview") for action in statement["Action"]}
    assert actions == {
        *("s3:GetObject", "s3:ListBucket", "kms:Decrypt"),
        *("dynamodb:GetItem", "sagemaker:DescribeEndpoint"),  # what the program asks for before it declares anything
        "dynamodb:DescribeTable",  # Pulumi's genuine plugin compares the indexes of a table with those that it has
        "cloudwatch:GetMetricData",  # today's traffic, for the report
    }


def test_the_files_name_what_the_program_names() -> None:
    names = Names("flight-delay", "dev", ACCOUNT, "us-east-1")
    text = json.dumps([allowed("deploy"), allowed("preview")])
    for name in (names.bucket, names.journal, names.repository, names.containers_log, names.log):
        assert name in text


@pytest.mark.parametrize(
    ("role", "who"),
    [("deploy", "ref:refs/heads/main"), ("deploy-prod", "environment:prod"), ("preview", "pull_request")],
)
def test_only_the_workflow_that_needs_a_role_may_take_it(role: str, who: str) -> None:
    (statement,) = allowed(f"{role}-trust")
    github = "token.actions.githubusercontent.com"
    assert statement["Condition"]["StringEquals"] == {
        f"{github}:aud": "sts.amazonaws.com",
        f"{github}:sub": f"repo:OWNER/REPOSITORY:{who}",
    }
