"""An endpoint that an earlier update made, and did not keep, does not stand in the way of the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from modelstack.program.aws import first_endpoint
from modelstack.program.aws.first_endpoint import standing_endpoint
from tests.program.recorded import LOCAL, OLD, idle
from tests.program.recorded import run_program as run

NAME = LOCAL.endpoint
Made = Callable[..., "Endpoint"]


class Endpoint:
    """DescribeEndpoint's answers in turn; the last stays. None: there is no endpoint."""

    def __init__(self, *statuses: str | None, config: str = f"{LOCAL.prefix}-0a1b2c3d4e5f") -> None:
        self.statuses, self.config, self.deleted = list(statuses), config, 0
        self.told: list[str] = []

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:
        assert EndpointName == NAME
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status is None:
            text = f'Could not find endpoint "arn:aws:sagemaker:us-east-1:000000000000:endpoint/{NAME}".'
            raise ClientError({"Error": {"Code": "ValidationException", "Message": text}}, "DescribeEndpoint")
        why = {"FailureReason": "The primary container did not pass the ping health check.\n"}
        return {"EndpointStatus": status, "EndpointConfigName": self.config, **(why if status == "Failed" else {})}

    def delete_endpoint(self, EndpointName: str) -> None:
        assert (EndpointName, self.statuses[0]) != (NAME, "InService"), "nothing live is deleted"
        self.deleted += 1
        self.statuses = ["Deleting", None]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    def make(*statuses: str | None, preview: bool = False, **more: Any) -> Endpoint:
        endpoint = Endpoint(*statuses, **more)
        monkeypatch.setattr(first_endpoint, "clients", lambda region: lambda service: endpoint)
        monkeypatch.setattr(first_endpoint.time, "sleep", lambda seconds: None)
        monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: preview)
        monkeypatch.setattr(pulumi, "warn", endpoint.told.append)
        monkeypatch.setattr(pulumi, "info", endpoint.told.append)
        return endpoint

    return make


@pytest.mark.parametrize("preview", [False, True])
def test_a_free_name_is_taken(made: Made, preview: bool) -> None:
    endpoint = made(None, preview=preview)
    assert standing_endpoint(LOCAL) is None
    assert endpoint.told == []


@pytest.mark.parametrize("statuses", [("Failed",), ("Creating", "Failed")])
def test_one_that_failed_or_fails_while_it_is_waited_for_is_deleted_and_its_reason_told(
    made: Made, statuses: tuple[str, ...]
) -> None:
    endpoint = made(*statuses)
    assert standing_endpoint(LOCAL) is None
    assert (endpoint.deleted, endpoint.statuses) == (1, [None]), "it is gone before the name is taken again"
    assert endpoint.told[-1] == (
        f"endpoint {NAME} failed when an earlier update made it, and serves nothing: The primary container did not "
        "pass the ping health check. It is deleted and made anew"
    )


def test_a_preview_says_what_the_update_will_do_and_does_nothing(made: Made) -> None:
    endpoint = made("Failed", preview=True)
    assert standing_endpoint(LOCAL) is None
    assert endpoint.deleted == 0
    assert endpoint.told[0].endswith("ping health check. The update deletes it and makes it anew")


def test_one_that_is_still_being_made_is_waited_for_and_taken_into_the_state(made: Made) -> None:
    endpoint = made("Creating", "InService")
    assert standing_endpoint(LOCAL) == NAME
    assert endpoint.told == [f"endpoint {NAME} is Creating since an earlier update, which is waited for"]
    made("Creating", preview=True)
    assert standing_endpoint(LOCAL) == NAME, "a preview waits for nothing"


@pytest.mark.parametrize("status", ["InService", "Failed", "Creating"])
def test_anothers_endpoint_is_left_alone(made: Made, status: str) -> None:
    endpoint = made(status, config="theirs")
    with pytest.raises(pulumi.RunError, match=r"a config that is not this stack's, theirs\. Nothing was changed"):
        standing_endpoint(LOCAL)
    assert endpoint.deleted == 0


def test_an_endpoint_that_moves_for_ever_ends_the_update(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made("Creating")
    monkeypatch.setattr(first_endpoint, "MOST_SECONDS", -1)
    with pytest.raises(pulumi.RunError, match="is Creating for longer than an hour"):
        standing_endpoint(LOCAL)


def test_an_answer_that_does_not_come_ends_the_update_in_a_line(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = made(None)

    def unreachable(EndpointName: str) -> None:
        raise EndpointConnectionError(endpoint_url="https://api.sagemaker.us-east-1.amazonaws.com")

    monkeypatch.setattr(endpoint, "describe_endpoint", unreachable)
    with pytest.raises(pulumi.RunError, match=f"what stands at endpoint {NAME} is not known: .*Could not connect"):
        standing_endpoint(LOCAL)


@pytest.mark.slow
def test_what_serves_already_is_imported_and_only_before_the_first_release() -> None:
    assert run(stands=NAME).one(":Endpoint").imports == NAME
    assert run().one(":Endpoint").imports == ""
    assert run(state=idle(OLD), stands="never asked").one(":Endpoint").imports == ""
