"""What every platform's way to send one request to one variant promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import boto3
import httpx
import pytest

from modelstack.platforms.aws.clients import clients
from modelstack.platforms.aws.invoke import MOST_BYTES, SageMakerInvoke
from modelstack.platforms.kubernetes.gateway import Entrance
from modelstack.platforms.kubernetes.invoke import GatewayInvoke
from modelstack.rollout.core.errors import Busy, Unreachable
from modelstack.services.invoke import Invoke, NoSuchVariant, Request, Response, TimedOut, TooLarge
from tests.platforms.http_endpoint import Gateway, a_gateway
from tests.services.memory import MemoryInvoke

REQUEST = Request(b"1,2", "text/csv", "application/json", "v-b", "flight 7.1", "2013-03-01T00:00:00+00:00")
REMOTE = ("sagemaker", "gateway")


def through(kind: str, url: str, seconds: float = 5) -> Invoke:
    if kind == "gateway":
        return GatewayInvoke(Entrance(url, "flights.example").client(httpx.Timeout(seconds)))
    session = boto3.Session("test", "test", region_name="us-east-1")
    make = clients(session=session, attempts=1, answer_within=seconds)
    client = session.client("sagemaker-runtime", endpoint_url=url, config=make("sagemaker-runtime").meta.config)
    return SageMakerInvoke(lambda _: client, "e")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with a_gateway() as made:
        yield made


@pytest.fixture(params=["memory", *REMOTE])
def invoke(request: pytest.FixtureRequest, gateway: Gateway) -> Invoke:
    """Sends to a v-b and a v-a, which gets what names none."""

    def answers(variant: str, sent: Request) -> tuple[int, bytes, float]:
        named = {
            "content-type": sent.content_type,
            "accept": sent.accept,
            "x-amzn-sagemaker-inference-id": sent.inference_id,
            "x-amzn-sagemaker-custom-attributes": f"event-time={sent.event_time}",
        }
        gateway.asked.append((named, sent.body))
        return (*gateway.says.get(variant, (200, b'{"p": 0.25}')), 0.1)

    if request.param == "memory":
        return MemoryInvoke({name: lambda sent, name=name: answers(name, sent) for name in ("v-a", "v-b")})
    return through(request.param, gateway.url)


def test_the_variant_gets_the_request_as_it_is_and_is_named_with_its_answer(invoke: Invoke, gateway: Gateway) -> None:
    response = invoke.send(REQUEST)
    assert replace(response, seconds=0) == Response(200, b'{"p": 0.25}', 0, "v-b")
    assert 0 < response.seconds < 5
    assert response.ok
    ((headers, body),) = gateway.asked
    assert (body, headers["content-type"], headers["accept"]) == (b"1,2", "text/csv", "application/json")
    assert headers["x-amzn-sagemaker-inference-id"] == "flight 7.1"
    assert headers["x-amzn-sagemaker-custom-attributes"] == "event-time=2013-03-01T00:00:00+00:00"


def test_without_a_variant_the_weights_choose(invoke: Invoke) -> None:
    assert invoke.send(Request(b"{}")).variant == "v-a"


@pytest.mark.parametrize("status", [400, 503])
def test_an_error_of_the_model_is_a_response(invoke: Invoke, gateway: Gateway, status: int) -> None:
    gateway.says["v-b"] = (status, b"overloaded")
    response = invoke.send(REQUEST)
    assert (response.ok, replace(response, seconds=0)) == (False, Response(status, b"overloaded", 0, "v-b"))


def test_another_variants_answer_is_never_taken_for_that_of_one_that_is_not_there(invoke: Invoke) -> None:
    try:
        assert invoke.send(replace(REQUEST, variant="v-none")).variant == "v-a"
    except NoSuchVariant as error:
        assert "ariant" in str(error)


@pytest.mark.parametrize("kind", REMOTE)
def test_nobody_there_is_unreachable(kind: str) -> None:
    with pytest.raises(Unreachable) as caught:
        through(kind, "http://127.0.0.1:1").send(REQUEST)
    assert not isinstance(caught.value, TimedOut)


@pytest.mark.parametrize(("kind", "error"), [("sagemaker", Unreachable), ("gateway", TimedOut)])
def test_a_late_answer_is_none(gateway: Gateway, kind: str, error: type[Exception]) -> None:
    gateway.seconds = 0.5
    with pytest.raises(error):
        through(kind, gateway.url, seconds=0.1).send(REQUEST)


def test_sagemaker_takes_no_request_above_its_limit_and_may_throttle(gateway: Gateway) -> None:
    invoke = through("sagemaker", gateway.url)
    with pytest.raises(TooLarge, match=r"26,214,401 bytes \(25.0 MB\), and SageMaker takes at most 26,214,400 \(25 MB"):
        invoke.send(Request(b"1" * (MOST_BYTES + 1)))
    assert gateway.asked == []
    gateway.says["v-b"] = (429, b"")
    with pytest.raises(Busy, match="throttled"):
        invoke.send(REQUEST)


def test_a_gateways_own_answer_is_not_the_models(gateway: Gateway) -> None:
    gateway.of_a_pod, gateway.says["v-b"] = False, (503, b"no healthy upstream")
    response = through("gateway", gateway.url).send(REQUEST)
    assert replace(response, seconds=0) == Response(503, b"no healthy upstream", 0, "", by_model=False)
    assert gateway.asked[0][0]["host"] == "flights.example"
