from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from modelstack.platforms.kubernetes.answers import Forbidden
from modelstack.platforms.kubernetes.prometheus import Prometheus, Samples
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable

MATRIX: dict[str, Any] = {"resultType": "matrix", "result": []}


def prometheus(answer: Callable[[httpx.Request], httpx.Response]) -> Prometheus:
    return Prometheus(httpx.Client(transport=httpx.MockTransport(answer), base_url="http://prometheus:9090/prefix"))


def says(**body: Any) -> Prometheus:
    return prometheus(lambda _: httpx.Response(200, json={"status": "success", **body}))


def test_samples_are_in_order_and_each_once_however_long_the_time() -> None:
    asked = list[httpx.URL]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        values = (
            [[7.5, "2"], [3, "1"], [7.5, "2"], [21_601, "4"]] if len(asked) == 1 else [[21_601, "4"], [40_000, "5"]]
        )
        data = {"resultType": "matrix", "result": [{"metric": {"__name__": "up", "job": "x"}, "values": values}]}
        return httpx.Response(200, json={"status": "success", "data": data})

    found = prometheus(answer).samples('up{job="x"}', 0, 40_000)
    assert found == [Samples({"job": "x"}, ((3.0, 1.0), (7.5, 2.0), (21_601.0, 4.0), (40_000.0, 5.0)))]
    assert [url.path for url in asked] == ["/prefix/api/v1/query"] * 2
    assert [dict(url.params) for url in asked] == [
        {"query": 'up{job="x"}[21600001ms]', "time": "21600.000"},
        {"query": 'up{job="x"}[18400001ms]', "time": "40000.000"},
    ]


def test_what_lies_before_the_range_is_left_out() -> None:
    data = {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "1"], [2, "2"], [3, "3"]]}]}
    assert says(data=data).samples("x{}", 2, 3)[0].points == ((2.0, 2.0), (3.0, 3.0))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx.ConnectError("Connection refused"), "does not answer: Connection refused"),
        (httpx.ReadTimeout("timed out"), "does not answer in time (ReadTimeout)"),
        (httpx.RemoteProtocolError("server disconnected"), "does not answer: server disconnected"),
    ],
)
def test_one_that_is_down_or_slow_is_unreachable(error: httpx.HTTPError, told: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(Unreachable) as raised:
        prometheus(answer).samples("up{}", 0, 60)
    assert told in str(raised.value)


def fails(status: int, content: str, kind: type[RolloutError]) -> str:
    with pytest.raises(RolloutError) as raised:
        prometheus(lambda _: httpx.Response(status, text=content)).samples("up{}", 0, 60)
    assert type(raised.value) is kind
    return str(raised.value)


def test_the_kinds_of_refusal_are_told_apart() -> None:
    def error(kind: str, text: str) -> str:
        return json.dumps({"status": "error", "errorType": kind, "error": text})

    assert "answers 503: Service Unavailable" in fails(503, "Service Unavailable", Unreachable)
    assert "query timed out" in fails(503, error("timeout", "query timed out"), Unreachable)
    assert "too many samples" in fails(422, error("execution", "too many samples"), RolloutError)
    assert "parse error" in fails(400, error("bad_data", "parse error"), RolloutError)
    assert "Give the controller the right" in fails(403, "forbidden", Forbidden)
    gone = json.dumps({"kind": "Status", "message": 'services "prometheus" not found'})
    assert fails(404, gone, RolloutError).endswith('answers 404: services "prometheus" not found')
    assert "answers 429" in fails(429, "slow down", Busy)
    assert "Is that the address of a Prometheus?" in fails(200, "<html>Log in</html>", RolloutError)


def test_an_answer_in_part_is_no_answer_and_a_note_on_the_query_is_none() -> None:
    with pytest.raises(Unreachable, match="only in part: store 2 is down"):
        says(data=MATRIX, warnings=["store 2 is down"]).samples("up{}", 0, 60)
    assert says(data=MATRIX, warnings=["PromQL warning: odd"]).samples("up{}", 0, 60) == []


def test_an_answer_of_another_form_is_refused() -> None:
    with pytest.raises(RolloutError, match="got 'matrix' for up, expected vector"):
        says(data=MATRIX).values("up", 0)


def test_steps_of_a_long_time_come_in_parts() -> None:
    asked = list[dict[str, str]]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        at = float(asked[-1]["start"])
        data = {"resultType": "matrix", "result": [{"metric": {"__name__": "x"}, "values": [[at, "1"]]}]}
        return httpx.Response(200, json={"status": "success", "data": data})

    found = prometheus(answer).steps("x", 0, 300_000, 20)
    assert [(item["start"], item["end"]) for item in asked] == [("0.000", "200000.000"), ("200020.000", "300000.000")]
    assert found == [Samples({"__name__": "x"}, ((0.0, 1.0), (200_020.0, 1.0)))]


def test_groups_of_another_name_and_alerts_of_another_namespace_are_left_out() -> None:
    ours, theirs = ({"labels": {"namespace": name, "severity": "page"}} for name in ("models", "others"))
    groups = [
        {"name": "a", "rules": [ours, theirs, {}]},
        {"name": "a", "rules": [theirs]},
        {"name": "b", "rules": [ours]},
    ]
    found = says(data={"groups": groups}).groups("a", {"namespace": "models"})
    assert found == [{"name": "a", "rules": [ours]}]
