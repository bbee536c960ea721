"""What a config of a stack on a cluster has to name, and what it may not."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from infra.config.settings import Settings
from tests.infra.on_cluster import STACK
from tests.infra.recorded import stack_config

NEEDED = [
    ({"registry": None}, "modelstack:kubernetes.registry is missing: a stack on a cluster needs it"),
    ({"prometheus": None}, "modelstack:kubernetes.prometheus is missing: a stack on a cluster needs it"),
    ({"gateway": {}}, "modelstack:kubernetes.gateway = {}: allowed is one of both"),
    (
        {"gateway": {"class": "a", "name": "b"}},
        'modelstack:kubernetes.gateway = {"class": "a", "name": "b"}: allowed is',
    ),
    (
        {"gateway": {"name": "b", "tls_secret": "c"}},
        'modelstack:kubernetes.gateway.tls_secret = "c": the certificate of',
    ),
    (
        {"gateway": {"class": "a", "tls_secret": "c"}},
        'modelstack:kubernetes.gateway.tls_secret = "c": a certificate is for a host, and',
    ),
    (
        {"alerts": {"page": {"webhook_secret": "pager"}}},
        'modelstack:kubernetes.alerts.page.webhook_secret = "pager": without the Prometheus operator',
    ),
    ({"alerts": {"page": {"email": ["oncall"]}}}, "a list of addresses such as oncall@example.org"),
    ({"database_secret": None}, "modelstack:serving.capture_percent = 100: kubernetes.database_secret is null"),
]


@pytest.mark.parametrize(("fields", "line"), NEEDED, ids=[str(fields) for fields, _ in NEEDED])
def test_what_a_stack_on_a_cluster_needs_is_told_before_anything_is_asked(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        Settings.load(stack_config(STACK, kubernetes=fields), STACK)
    assert line in str(caught.value)


REFUSED = [
    ("pipeline", {"engine": "sagemaker"}, "a stack on a cluster has no SageMaker; allowed is local"),
    ("serving", {"instance_type": "ml.m5.large"}, "a cluster has no instance types; allowed are cpu and memory"),
    ("retraining", {"enabled": True}, "on a cluster nothing is retrained yet; allowed is false"),
    ("retention", {"log_days": 5}, "how long logs are kept is the cluster's; allowed is to leave it out"),
    ("promotion", {"to": ["111122223333"]}, "a cluster knows no accounts; allowed are groups of its users"),
    ("promotion", {"to": ["system:authenticated"]}, "allowed are groups of its users, and not everybody"),
]


@pytest.mark.parametrize(("section", "fields", "why"), REFUSED, ids=[f"{one[0]} {one[1]}" for one in REFUSED])
def test_what_only_aws_has_is_refused_and_not_passed_over(section: str, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        Settings.load(stack_config(STACK, **{section: fields}), STACK)
    assert why in str(caught.value)


def test_what_only_a_cluster_has_is_refused_on_aws() -> None:
    with pytest.raises(pulumi.RunError) as caught:
        Settings.load(stack_config("local", kubernetes={"namespace": "models"}, serving={"cpu": "1"}), "local")
    assert 'modelstack:kubernetes.namespace = "models": only stacks on a cluster have it' in str(caught.value)
    assert 'modelstack:serving.cpu = "1": only stacks on a cluster have it' in str(caught.value)
