"""SEARCH: what it finds, and what comes of it in metric math."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.cloudwatch.search import parse
from localcloud.cloudwatch.store import MetricKey

from .test_metrics import data


def key(name: str, namespace: str = "AWS/SageMaker", **dimensions: str) -> MetricKey:
    return MetricKey(namespace, name, tuple(sorted(dimensions.items())))


A = key("Invocations", EndpointName="e", VariantName="v-a")
B = key("Invocations", EndpointName="e", VariantName="v-b")
LATENCY = key("ModelLatency", EndpointName="e", VariantName="v-a")
OTHER = key("Invocations", EndpointName="e-prod", VariantName="v-a")
WHOLE = key("Invocations", EndpointName="e")
OWN = key("Invocations", "own", EndpointName="e", VariantName="v-a")
ALL = (A, B, LATENCY, OTHER, WHOLE, OWN)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{AWS/SageMaker,EndpointName,VariantName} MetricName="Invocations" EndpointName="e"', (A, B)),
        ('{AWS/SageMaker, VariantName, EndpointName} MetricName="Invocations" AND EndpointName="e"', (A, B)),
        ("{AWS/SageMaker,EndpointName}", (WHOLE,)),
        ('{AWS/SageMaker,EndpointName,VariantName} NOT EndpointName="e"', (OTHER,)),
        ('MetricName="ModelLatency" OR Namespace="own"', (LATENCY, OWN)),
        ('(MetricName="ModelLatency" OR VariantName="v-b") EndpointName="e"', (B, LATENCY)),
        ('"v-b"', (B,)),
        ("latency", (LATENCY,)),
        ("EndpointName=prod", (OTHER,)),
        ('MetricName=""', ()),
        ("", ALL),
    ],
)
def test_a_search_finds_what_its_terms_say(text: str, found: tuple[MetricKey, ...]) -> None:
    matches = parse(text)
    assert tuple(item for item in ALL if matches(item)) == found


def search(text: str, statistic: str = "Sum", period: int = 60) -> str:
    return f"SEARCH('{text}', '{statistic}', {period})"


async def curves(local: Any, *queries: dict[str, Any]) -> list[tuple[str, list[float]]]:
    return [(one["Label"], one["Values"]) for one in (await data(local, *queries))["MetricDataResults"]]


VARIANTS = search('{test,Variant} MetricName="errors"')


def test_each_metric_that_is_found_is_a_curve_with_what_tells_it_from_the_others(tell) -> None:
    async def story(local: Any) -> None:
        local.put(1, Variant="a")
        assert await curves(local, {"Id": "e1", "Expression": VARIANTS}) == [("errors", [1])]
        local.put(3, Variant="b")
        local.put(50)
        assert await curves(local, {"Id": "e1", "Expression": VARIANTS}) == [("a", [1]), ("b", [3])]
        labelled = {"Id": "e1", "Expression": VARIANTS, "Label": "sum"}
        assert await curves(local, labelled) == [("sum a", [1]), ("sum b", [3])]
        dynamic = {**labelled, "Label": "${PROP('MetricName')} of ${PROP('Dim.Variant')}${PROP('Dim.None')}"}
        assert [label for label, _ in await curves(local, dynamic)] == ["errors of a", "errors of b"]

    tell(story)


def test_arithmetic_takes_what_a_search_found(tell) -> None:
    async def story(local: Any) -> None:
        local.put(1, Variant="a")
        local.put(3, Variant="b")
        shares = {"Id": "e1", "Expression": f"100 * {VARIANTS} / SUM({VARIANTS})"}
        assert await curves(local, shares) == [("a", [25]), ("b", [75])]
        assert await curves(local, {"Id": "e1", "Expression": f"SUM({VARIANTS})"}) == [("e1", [4])]
        both = [{"Id": "e1", "Expression": VARIANTS, "ReturnData": False}, {"Id": "e2", "Expression": "MAX(e1)"}]
        assert await curves(local, *both) == [("e2", [3])]

    tell(story)


def test_metrics_is_of_the_queries_that_were_asked_for_alone(tell) -> None:
    async def story(local: Any) -> None:
        local.put(1, Variant="a")
        local.put(3, Variant="b")
        found = await curves(local, {"Id": "e1", "Expression": VARIANTS}, {"Id": "e2", "Expression": "METRICS()"})
        assert found == [("a", [1]), ("b", [3])]

    tell(story)


def test_a_search_that_finds_nothing_has_no_curve(tell) -> None:
    async def story(local: Any) -> None:
        local.put(1)
        assert await curves(local, {"Id": "e1", "Expression": VARIANTS}) == []

    tell(story)
