"""What the program declares for late labels, each promise with its reason. Nothing here needs an engine."""

from __future__ import annotations

import json

import pytest

from modelstack.platforms.aws.names import INDEX, MONITORING
from tests.program.recorded import World
from tests.program.recorded import run_program as run


@pytest.fixture(scope="module")
def world() -> World:
    return run(monitoring={"labels_minutes": 3})


def test_files_of_captures_and_labels_call_the_function_and_what_it_writes_does_not(world: World) -> None:
    notification = world.one(":BucketNotification")
    called = {item["filterPrefix"] for item in notification.inputs["lambdaFunctions"]}
    assert called == {"capture/", "labels/"}
    assert not any("labels-rejected/".startswith(prefix) for prefix in called), "it would call itself without end"
    assert any("Permission" in urn for urn in notification.depends), "S3 checks that it may call"
    permission = world.one(":Permission", "labels-s3").inputs
    assert (permission["principal"], bool(permission["sourceArn"])) == ("s3.amazonaws.com", True)


def test_ledger_forgets_and_has_the_index_that_the_function_asks(world: World) -> None:
    table = world.one(":Table", "documents").inputs
    assert table["ttl"] == {"attributeName": "expires", "enabled": True}
    (index,) = table["globalSecondaryIndexes"]
    assert index["name"] == INDEX
    assert [key["attributeName"] for key in index["keySchemas"]] == ["queue", "since"]
    assert table["serverSideEncryption"]["enabled"] is True


def test_function_is_told_its_table_and_how_long_a_label_waits(world: World) -> None:
    variables = world.function("labels")["environment"]["variables"]
    assert variables["DOCUMENTS_TABLE"] == world.one(":Table", "documents").inputs["name"]
    assert json.loads(variables[MONITORING])["labelsMinutes"] == 3
    assert variables["ENDPOINT_NAME"] == "flight-delay-local"


def test_event_that_cannot_be_handled_is_kept_as_long_as_sqs_keeps_anything(world: World) -> None:
    assert world.function("labels")["deadLetterConfig"]["targetArn"]
    for name in ("labels-dead-letters", "captures-dead-letters"):
        assert world.one(":Queue", name).inputs["messageRetentionSeconds"] == 14 * 86_400
    redrive = json.loads(world.one(":Queue", "captures").inputs["redrivePolicy"])
    assert redrive["maxReceiveCount"] == 5
