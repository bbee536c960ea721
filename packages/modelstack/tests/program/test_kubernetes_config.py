"""What a config of a stack on a cluster has to name, and what it may not."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from modelstack.program.config.settings import Settings
from tests.program.on_cluster import STACK
from tests.program.recorded import stack_config

CERTIFICATE = 'modelstack:kubernetes.gateway.tls_secret = "c": '
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"kubernetes": {"registry": None}}, "modelstack:kubernetes.registry is missing: a stack on a cluster needs it"),
    ({"kubernetes": {"prometheus": None}}, "modelstack:kubernetes.prometheus is missing: a stack on a cluster needs"),
    ({"kubernetes": {"gateway": {}}}, "modelstack:kubernetes.gateway = {}: allowed is one of both"),
    (
        {"kubernetes": {"gateway": {"class": "a", "name": "b"}}},
        'modelstack:kubernetes.gateway = {"class": "a", "name": "b"}: allowed is',
    ),
    ({"kubernetes": {"gateway": {"name": "b", "tls_secret": "c"}}}, f"{CERTIFICATE}the certificate of"),
    ({"kubernetes": {"gateway": {"class": "a", "tls_secret": "c"}}}, f"{CERTIFICATE}a certificate is for a host, and"),
    (
        {"kubernetes": {"alerts": {"page": {"webhook_secret": "pager"}}}},
        'modelstack:kubernetes.alerts.page.webhook_secret = "pager": without the Prometheus operator',
    ),
    ({"kubernetes": {"alerts": {"page": {"email": ["oncall"]}}}}, "a list of addresses such as oncall@example.org"),
    ({"kubernetes": {"database_secret": None}}, "serving.capture_percent = 100: kubernetes.database_secret is null"),
    ({"pipeline": {"engine": "sagemaker"}}, "a stack on a cluster has no SageMaker; allowed is local"),
    ({"serving": {"instance_type": "ml.m5.large"}}, "a cluster has no instance types; allowed are cpu and memory"),
    (
        {"serving": {"instance_count": 3, "max_instance_count": 3}},
        "modelstack:serving.max_instance_count = 3: serving.instance_count, the least, is 3",
    ),
    (
        {"rollout": {"judge": {"metrics": {"errors": {}, "latency_p99": {"margin": 0.1}}}}},
        "modelstack:rollout.judge.metrics.latency_p99.margin = 0.1: the gateway's latency buckets are up to 12% apart; "
        "allowed is 0, or at least 0.125",
    ),
    ({"retraining": {"enabled": True}}, "on a cluster nothing is retrained yet; allowed is false"),
    ({"retention": {"log_days": 5}}, "how long logs are kept is the cluster's; allowed is to leave it out"),
    ({"promotion": {"to": ["111122223333"]}}, "a cluster knows no accounts; allowed are groups of its users"),
    ({"promotion": {"to": ["system:authenticated"]}}, "allowed are groups of its users, and not everybody"),
    (
        {"serving": {"instance_count": 1}, "rollout": {"infrastructure": {"kind": "rolling", "percent": 50}}},
        "a batch is one instance at least, which is 100% of 1",
    ),
]


@pytest.mark.parametrize(("sections", "line"), REFUSED, ids=[str(sections) for sections, _ in REFUSED])
def test_what_a_cluster_needs_or_only_aws_has_is_told_before_anything_is_asked(
    sections: dict[str, Any], line: str
) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        Settings.load(stack_config(STACK, **sections), STACK)
    assert line in str(caught.value)


def test_what_only_a_cluster_has_is_refused_on_aws() -> None:
    serving = {"cpu": "1", "max_instance_count": 4}
    with pytest.raises(pulumi.RunError) as caught:
        Settings.load(stack_config("local", kubernetes={"namespace": "models"}, serving=serving), "local")
    for field in ('kubernetes.namespace = "models"', 'serving.cpu = "1"', "serving.max_instance_count = 4"):
        assert f"modelstack:{field}: only stacks on a cluster have it" in str(caught.value)
