"""What a person is told of an answer that is an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from click.testing import CliRunner

from modelstack.cli.errors import NotAnswered, OperatorError, explained
from modelstack.cli.invoke import answer_of
from modelstack.cli.main import main
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unavailable, Unreachable
from modelstack.rollout.core.state import StateError
from modelstack.services.declaration.alarms import RUNBOOK
from modelstack.services.invoke import Request
from tests.process import ROOT
from tests.services.memory import MemoryInvoke


def told(error: Exception) -> OperatorError:
    with pytest.raises(OperatorError) as caught, explained("invoking e"):
        raise error
    return caught.value


def answered(answer: object) -> NotAnswered:
    words = answer if isinstance(answer, str) else json.dumps(answer)
    invoke = MemoryInvoke({"v-a": lambda _: (400, words.encode(), 0.1)})
    with pytest.raises(NotAnswered) as caught:
        answer_of(invoke, Request(b"{}"))
    return caught.value


def test_each_problem_of_a_request_is_a_line_and_none_is_said_twice() -> None:
    first, second = "instances[0].carrier: 5 is not allowed: expected a string", "instances[0].dest: missing"
    error = told(answered({"error": first, "problems": [first, second, second]}))

    assert str(error).splitlines() == ["invoking e: the model answered 400: 2 problems", f"  {first}", f"  {second}"]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ({"error": "the body is not JSON", "problems": ["the body is not JSON"]}, "the body is not JSON"),
        ({"error": "ValueError: no"}, "ValueError: no"),
        ({"detail": "no"}, '{"detail": "no"}'),
        ({"error": None, "problems": []}, '{"error": null, "problems": []}'),
        ("plain words", "plain words"),
        ("[1, 2]", "[1, 2]"),
        (" ", "no reason given"),
    ],
)
def test_a_single_problem_stands_in_the_first_line_whatever_the_models_form(answer: object, line: str) -> None:
    assert str(answered(answer)) == f"the model answered 400: {line}"


LOCAL, AWS = "http://127.0.0.1:4566", "https://sagemaker.eu-west-1.amazonaws.com"
REFUSED = {"Error": {"Code": "UnrecognizedClientException", "Message": "The security token is invalid."}}


@pytest.mark.parametrize(
    ("error", "outer", "url", "hint"),
    [
        (EndpointConnectionError(endpoint_url=LOCAL), Unreachable, LOCAL, "Type `make up`"),
        (EndpointConnectionError(endpoint_url=AWS), Unreachable, AWS, "the network"),
        (ClientError(REFUSED, "DescribeEndpoint"), RolloutError, LOCAL, 'eval "$(make -s env)"'),
        (ClientError(REFUSED, "DescribeEndpoint"), RolloutError, AWS, "None"),
    ],
    ids=["local cloud is down", "no network", "keys of another cloud", "invalid keys"],
)
@pytest.mark.parametrize("through_a_rollout", [False, True])
def test_a_cloud_that_does_not_answer_or_refuses_the_keys_is_told_with_what_helps_there(  # noqa: PLR0917 - by case
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    outer: type[Exception],
    url: str,
    hint: str,
    through_a_rollout: bool,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    met = error
    if through_a_rollout:
        met = outer(str(error))
        met.__cause__ = error
    assert hint in str(told(met).hint)


def test_a_store_that_does_not_answer_is_unknown_and_says_what_to_do() -> None:
    answer: Any = {**REFUSED, "ResponseMetadata": {"HTTPStatusCode": 500}}
    fails = ClientError(answer, "GetItem")
    for error in (Unreachable("read journal e-rollouts: InternalFailure"), Busy("throttled"), fails):
        found = told(error)
        assert (found.exit_code, str(found.hint)[:24]) == (3, "Try again in a minute. I")
    section = str(found.hint).partition("#")[2]
    assert f"## {section.replace('-', ' ')}" in (ROOT / RUNBOOK).read_text().lower()
    assert told(RolloutError("there is no previous champion")).hint is None, "it would refuse again"


def test_what_a_rollout_refuses_is_told_in_its_words() -> None:
    assert str(told(RolloutError("there is no previous champion"))) == "invoking e: there is no previous champion"


@pytest.mark.parametrize(
    ("error", "code"),
    [(RolloutError("no"), 1), *((kind("x"), 3) for kind in (Busy, Conflict, Unavailable, Unreachable, StateError))],
    ids=lambda value: type(value).__name__,
)
def test_what_the_rules_refuse_is_a_no_and_what_a_platform_does_not_answer_is_unknown(
    error: Exception, code: int
) -> None:
    assert told(error).exit_code == code


def test_a_digest_in_a_message_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelstack.cli.target_options.resolve", lambda _: told_so("--at sha256:abc: no release"))
    assert "--at sha256:abc: no release" in CliRunner().invoke(main, ["status"]).stderr


def told_so(text: str) -> None:
    raise OperatorError(text)
