"""The spec of a Rollout: the controller's settings of an endpoint, written by the Pulumi program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from modelstack.rollout.core.errors import RolloutError
from modelstack.services.measuring import Measuring, camel


@dataclass(frozen=True)
class RolloutSpec:
    """The spec of a Rollout.

    Attributes:
        host: The Host header of the route; empty for any.
        prometheus: The URL of Prometheus, inside the cluster.
        sticky_header: The header whose value selects the variant in a trial; empty for none.
        ca_config_map: The ConfigMap whose `ca.crt` verifies the Gateway's certificate; empty for the system's CAs.
        measuring: `monitoring` in the object.
    """

    stack: str
    model: str
    gateway: str
    prometheus: str
    host: str = ""
    period_seconds: int = 60
    capture_percent: int = 0
    sticky_header: str = ""
    ca_config_map: str = ""
    measuring: Measuring = field(default_factory=Measuring)

    def __post_init__(self) -> None:
        for name in ("stack", "model", "gateway"):
            _want(name, getattr(self, name), bool(getattr(self, name)), "a non-empty text")
        _want("prometheus", self.prometheus, self.prometheus.startswith(("http://", "https://")), "a URL")
        _want("periodSeconds", self.period_seconds, 1 <= self.period_seconds <= 3600, "1 to 3600")
        _want("capturePercent", self.capture_percent, 0 <= self.capture_percent <= 100, "0 to 100")

    def as_dict(self) -> dict[str, Any]:
        """The spec of the object."""
        plain = {key: getattr(self, name) for name, key in _KEYS.items()}
        return plain | {_MEASURING: self.measuring.as_dict()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> RolloutSpec:
        """Parse the output of `as_dict`, without newer fields; raises RolloutError, which names the field."""
        given = {name: value[key] for name, key in _KEYS.items() if key in value}
        for name, item in given.items():
            number = name in {"period_seconds", "capture_percent"}
            whole = isinstance(item, (int, float)) and not isinstance(item, bool) and math.floor(item) == item
            right = whole if number else isinstance(item, str)
            _want(_KEYS[name], item, right, "a whole number" if number else "a text")
        missing = [_KEYS[name] for name in ("stack", "model", "gateway", "prometheus") if name not in given]
        if missing:
            raise RolloutError(f"Rollout.spec: missing {', '.join(missing)}; `pulumi up` writes them")
        measuring = value.get(_MEASURING, {})
        _want(_MEASURING, measuring, isinstance(measuring, Mapping), "an object")
        try:
            return cls(**given, measuring=Measuring.from_dict(measuring))
        except ValueError as error:
            raise RolloutError(f"Rollout.spec.{error}") from None


_MEASURING = "monitoring"
_KEYS = {item.name: camel(item.name) for item in fields(RolloutSpec) if item.name != "measuring"}


def _want(name: str, value: object, right: bool, allowed: str) -> None:
    if not right:
        raise RolloutError(f"Rollout.spec.{name}: got {value!r}, allowed is {allowed}")
