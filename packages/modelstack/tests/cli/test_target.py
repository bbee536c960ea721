"""An endpoint that is named outright: what surrounds it follows from the naming rules, and Pulumi is not asked."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from modelstack.cli.errors import OperatorError
from modelstack.cli.target import Target, named, of_outputs
from modelstack.platforms.aws.names import Names

ARN = "arn:aws-cn:sts::123456789012:assumed-role/night/ada"


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    client = boto3.client("sts", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
    stub = Stubber(client)
    stub.add_response(
        "get_caller_identity", {"Arn": ARN, "Account": "123456789012", "UserId": "AIDAEXAMPLE12345678"}, {}
    )
    stub.activate()
    monkeypatch.setattr("modelstack.cli.target.Target.client", lambda *_: client)
    monkeypatch.setenv("PATH", "")


@pytest.mark.usefixtures("stubbed")
def test_its_surroundings_have_the_names_that_the_program_gives_and_its_commands_name_it() -> None:
    names = Names("flight-delay", "prod", "123456789012", "eu-west-1", "aws-cn")
    found = named("flight-delay-prod", "eu-west-1")
    assert found.endpoint == names.endpoint
    assert dict(found.outputs) == {
        "endpoint_name": names.endpoint,
        "region": "eu-west-1",
        "package_group": names.package_group,
        "artifact_bucket": names.bucket,
        "rollback_function": names.function("rollback"),
        "journal_table": names.journal,
        "alerts_topic": names.arn("sns", names.alerts),
    }
    assert found.commands.modelstack == "modelstack --endpoint flight-delay-prod --region eu-west-1"


def test_without_a_region_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OperatorError, match="no region"):
        named("flight-delay-prod", None)


def test_what_only_a_stack_tells_asks_for_the_stack_of_an_endpoint() -> None:
    with pytest.raises(OperatorError, match="endpoint e was named without its stack, whose output `signing_key`") as it:
        Target("", "e", "us-east-1", {}).output("signing_key")
    assert (it.value.hint, it.value.exit_code) == ("Give --stack, not --endpoint.", 2)


def test_a_local_stack_on_aws_is_not_asked_of_aws_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(OperatorError, match="stack local-2: this shell does not point at the local cloud"):
        of_outputs("local-2", {"endpoint_name": "e", "region": "us-east-1"})
    assert of_outputs("local-2", {"endpoint_name": "e", "namespace": "models"})
