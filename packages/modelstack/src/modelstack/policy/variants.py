"""Rules on an endpoint's variants: redundancy, capture, alarms and rollback."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from modelstack.policy import tokens
from modelstack.policy.rule import UNKNOWN, Declared, Finding, ResourceRule, StackRule, items_at, of_type, value_at
from modelstack.policy.stacks import IN_PROD, is_prod

PRODUCTION, SHADOW = "productionVariants", "shadowProductionVariants"
_LEAST = 2
_WATCHED = {"Invocation5XXErrors": "failures", "ModelLatency": "latency"}
"""The SageMaker metrics that need an alarm on each variant, and what they measure."""
_BOTH = {"Input", "Output"}


def variants(config: Declared, *lists: str) -> list[Any]:
    """The variants of an endpoint config, of the named lists or of both; NotKnown before they are known."""
    return [variant for name in lists or (PRODUCTION, SHADOW) for variant in items_at(config.values, name)]


def _spread(config: Declared) -> Iterator[str]:
    for variant in variants(config, PRODUCTION):
        count = value_at(variant, "initialInstanceCount")
        if value_at(variant, "serverlessConfig") is None and (count or 1) < _LEAST:
            yield f"variant {value_at(variant, 'variantName')} has {count or 1} instance"


def _zones(model: Declared) -> Iterator[str]:
    if model.get("vpcConfig") and len(items_at(model.values, "vpcConfig", "subnets")) < _LEAST:
        yield "vpcConfig names one subnet, which lies in one zone"


def _spread_or_zones(resource: Declared) -> Iterator[str]:
    yield from _spread(resource) if resource.type == tokens.CONFIG else _zones(resource)


def _captured(config: Declared) -> Iterator[str]:
    if not config.get("dataCaptureConfig", "enableCapture"):
        yield "data capture is off"
        return
    if not config.get("dataCaptureConfig", "initialSamplingPercentage"):
        yield "0% of the requests are captured"
    modes = {value_at(each, "captureMode") for each in items_at(config.values, "dataCaptureConfig", "captureOptions")}
    if not (modes >= _BOTH or "InputAndOutput" in modes):
        yield "requests and answers are not both captured"


def _watched(resources: Sequence[Declared]) -> Iterator[Finding]:
    seen = {pair for alarm in of_type(resources, tokens.METRIC_ALARM) for pair in _reads(alarm)}
    told: set[str] = set()
    for config in of_type(resources, tokens.CONFIG):
        for variant in variants(config):
            name = value_at(variant, "variantName")
            if name in told:
                continue
            told.add(name)
            for metric, what in _WATCHED.items():
                if (name, metric) not in seen:
                    yield config, f"no alarm is on the {what} of variant {name}"


def _reads(alarm: Declared) -> Iterator[tuple[str, str]]:
    """The variant and metric of each query; nothing for an alarm on several variants together."""
    queries = [value_at(query, "metric") for query in items_at(alarm.values, "metricQueries")]
    read = [
        (value_at(metric, "dimensions", "VariantName"), value_at(metric, "metricName"))
        for metric in (alarm.values, *filter(None, queries))
    ]
    if len({variant for variant, _ in read if variant}) == 1:
        yield from read


def _alarms_tell(resources: Sequence[Declared]) -> Iterator[Finding]:
    composites = of_type(resources, tokens.COMPOSITE_ALARM)
    asked = [composite.values.get("alarmRule") for composite in composites]
    for alarm in of_type(resources, tokens.METRIC_ALARM):
        if not alarm.get("treatMissingData"):
            yield alarm, "it does not say what missing data means"
        if not _tells(alarm) and UNKNOWN not in asked and not _named(alarm, asked):
            yield alarm, "it tells nobody, and no composite alarm asks about it"
    for composite in composites:
        if not _tells(composite):
            yield composite, "it tells nobody"


def _tells(alarm: Declared) -> bool:
    """Whether it notifies somebody; its actions need not be known yet."""
    return bool(alarm.values.get("alarmActions")) and alarm.get("actionsEnabled") is not False


def _named(alarm: Declared, asked: list[Any]) -> bool:
    return any(f'"{alarm.get("name")}"' in str(rule) for rule in asked)


def _way_back(resources: Sequence[Declared]) -> Iterator[Finding]:
    acts = any(each.get("protocol") == "lambda" for each in of_type(resources, tokens.SUBSCRIPTION))
    fires = any(_tells(alarm) for alarm in of_type(resources, tokens.METRIC_ALARM))
    for endpoint in of_type(resources, tokens.ENDPOINT):
        guarded = endpoint.get("deploymentConfig", "autoRollbackConfiguration", "alarms")
        if not guarded and not (acts and fires):
            yield endpoint, "nothing takes a bad release back: no function hears of alarms, and no alarm guards it"


def _signed(package: Declared) -> Iterator[str]:
    if not package.get("signing_key"):
        yield "no key signs it"


RULES = (
    ResourceRule(
        name="two-instances",
        requires="Each variant has two instances or more, and its own network, if it has one, two subnets.",
        control="Security Hub SageMaker.4",
        fix="Set modelstack:serving.instance_count to 2 or more. SageMaker spreads them over zones.",
        types=frozenset({tokens.CONFIG, tokens.MODEL}),
        check=_spread_or_zones,
        stacks=IN_PROD,
        applies=is_prod,
    ),
    ResourceRule(
        name="captured",
        requires="Requests and answers of each variant are captured.",
        control="NIST AI RMF MEASURE 2.4",
        fix="Set modelstack:serving.capture_percent to 1 or more.",
        types=frozenset({tokens.CONFIG}),
        check=_captured,
    ),
    StackRule(
        name="watched",
        requires="Each variant has an alarm on its failures and one on its latency.",
        control="NIST AI RMF MEASURE 2.4",
        fix="Declare the alarm with the variant.",
        check=_watched,
    ),
    StackRule(
        name="alarms-tell",
        requires="Each alarm says what missing data means, and tells somebody or is asked by a composite alarm.",
        control="Security Hub CloudWatch.15, CloudWatch.17",
        fix="Set treatMissingData and alarmActions.",
        check=_alarms_tell,
    ),
    StackRule(
        name="way-back",
        requires="A bad release is taken back: by a function that hears of alarms, or by guarded deployments.",
        control="NIST AI RMF MANAGE 2.4",
        fix="Subscribe the rollback function to the topic of the alarms, or set autoRollbackConfiguration.",
        check=_way_back,
    ),
    ResourceRule(
        name="signed",
        requires="A package that serves is signed.",
        control="NIST AI RMF MEASURE 2.7",
        fix="Give it signing_key, such as that of stack output `signing_key`.",
        types=frozenset({tokens.PACKAGE}),
        check=_signed,
    ),
)
