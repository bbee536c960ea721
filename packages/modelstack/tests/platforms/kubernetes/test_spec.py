from __future__ import annotations

from typing import Any

import pytest

from modelstack.platforms.kubernetes.spec import RolloutSpec
from modelstack.rollout.core.errors import RolloutError
from modelstack.services.measuring import Measuring

MEASURING = Measuring(5, 0.1, 7, 2.5, 0.2, 0.02, ("carrier",), 9, 4)
SPEC = RolloutSpec(
    *("prod", "flight-delay", "models", "http://prometheus.monitoring:9090", "flights.example.org", 30, 20),
    ca_config_map="authority",
    measuring=MEASURING,
)


def test_what_is_written_is_read_back() -> None:
    assert RolloutSpec.from_dict(SPEC.as_dict()) == SPEC
    assert SPEC.as_dict()["periodSeconds"] == 30
    assert SPEC.as_dict()["caConfigMap"] == "authority"
    assert SPEC.as_dict()["monitoring"]["segments"] == ["carrier"]


def test_what_is_left_out_has_a_default_and_what_a_newer_program_wrote_is_left_out() -> None:
    least = {"stack": "prod", "model": "m", "gateway": "g", "prometheus": "http://p:9090"}
    read = RolloutSpec.from_dict({**least, "later": 1})
    assert (read.host, read.period_seconds, read.capture_percent) == ("", 60, 0)
    assert read.measuring == Measuring()
    assert Measuring.from_dict({"driftMinutes": 3, "later": 1}) == Measuring(drift_minutes=3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stack": ""}, "Rollout.spec.stack: got '', allowed is a non-empty text"),
        ({"gateway": 3}, "Rollout.spec.gateway: got 3, allowed is a text"),
        ({"prometheus": "prometheus:9090"}, "Rollout.spec.prometheus: got 'prometheus:9090', allowed is a URL"),
        ({"periodSeconds": 0}, "Rollout.spec.periodSeconds: got 0, allowed is 1 to 3600"),
        ({"periodSeconds": "60"}, "Rollout.spec.periodSeconds: got '60', allowed is a whole number"),
        ({"capturePercent": 101}, "Rollout.spec.capturePercent: got 101, allowed is 0 to 100"),
        ({"capturePercent": True}, "Rollout.spec.capturePercent: got True, allowed is a whole number"),
        ({"monitoring": 3}, "Rollout.spec.monitoring: got 3, allowed is an object"),
        ({"monitoring": {"driftMinutes": 0}}, "Rollout.spec.monitoring.driftMinutes: got 0, allowed is 1 to 720"),
        (
            {"monitoring": {"probeMinutes": 0.5}},
            "Rollout.spec.monitoring.probeMinutes: got 0.5, allowed is a whole number",
        ),
        ({"monitoring": {"labelsDays": "1"}}, "Rollout.spec.monitoring.labelsDays: got '1', allowed is a number"),
        ({"monitoring": {"segments": "a"}}, "Rollout.spec.monitoring.segments: got 'a', allowed is a list of texts"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(RolloutError) as refused:
        RolloutSpec.from_dict({**SPEC.as_dict(), **change})
    assert str(refused.value) == says


def test_a_missing_field_is_named() -> None:
    value = SPEC.as_dict()
    del value["prometheus"], value["model"]
    with pytest.raises(RolloutError, match="missing model, prometheus; `pulumi up` writes them"):
        RolloutSpec.from_dict(value)
