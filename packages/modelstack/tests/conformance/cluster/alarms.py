"""The alarm rules of a stage, as the stack declares them, and what Alertmanager reports of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import httpx

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.alarm_rules import group
from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.kinds import CONFIG_MAP
from modelstack.platforms.kubernetes.metrics import cluster
from modelstack.platforms.kubernetes.rule import Rule, Watched, rule_file
from modelstack.services.declaration import alarm_thresholds
from modelstack.services.declaration.alarm_names import alarm_name
from tests.conformance.cluster.objects import RULES
from tests.conformance.stage import PERIODS, SLOW_MS, TOLERATED

EVERY = 2  # seconds
_PERIOD = 10
_NEVER = "vector(0) > 1"
Alarm = tuple[str, str]  # variant and measure


@dataclass
class Rules:
    """The rules of one endpoint, in a ConfigMap. Every variant has its rules, or nobody knows whether it fires.

    Only `declared` alarms fire by their metric; the others tolerate everything, but those in `firing` always fire.
    """

    api: Api
    endpoint: str
    workloads: dict[str, str] = field(default_factory=dict[str, str])
    declared: set[Alarm] = field(default_factory=set[Alarm])
    firing: set[Alarm] = field(default_factory=set[Alarm])
    _turn: Lock = field(default_factory=Lock)

    def write(self) -> None:
        """Put them into the cluster, which loads them within some seconds."""
        with self._turn:  # so that the last word has what both know of two who write at once
            whole: Object = {
                "metadata": {"name": f"{self.endpoint}-rules", "labels": RULES},
                "data": {"alarms.yml": json.dumps(rule_file([self.group()]))},
            }
            self.api.apply(CONFIG_MAP, whole, names.PROGRAM, force=True)

    def group(self) -> Rule:
        clusters = {variant: (cluster(self.api.namespace, name),) for variant, name in self.workloads.items()}
        watched = Watched(
            self.api.namespace, self.endpoint, clusters, every_seconds=EVERY, period_seconds=_PERIOD,
            max_5xx_rate=TOLERATED, max_p99_ms=SLOW_MS, nats=alarm_thresholds.evidence(PERIODS, alpha=0.05),
            probe_minutes=None,
        )  # fmt: skip
        made = group(watched)
        made["rules"] = [self._rule(rule) for rule in made["rules"]]
        return made

    def _rule(self, rule: Rule) -> Rule:
        if "alert" not in rule:
            return rule
        ids = {alarm_name(self.endpoint, *alarm): alarm for alarm in self.alarms()}
        alarm = ids.get(rule["alert"])
        if alarm in self.firing:
            return {**rule, "expr": "vector(1)"}
        return rule if alarm in self.declared else {**rule, "expr": _NEVER}

    def alarms(self) -> Iterable[Alarm]:
        """All that are on how a variant answers."""
        return [(variant, measure) for variant in self.workloads for measure in ("5xx", "p99")]


@dataclass(frozen=True)
class Alertmanager:
    """The firing alerts of one endpoint."""

    client: httpx.Client
    endpoint: str

    def firing(self) -> list[dict[str, Any]]:
        asked = {"filter": f'endpoint="{self.endpoint}"', "active": "true"}
        answer = self.client.get("/api/v2/alerts", params=asked)
        answer.raise_for_status()
        return answer.json()

    def call(self, alarm: Alarm) -> str | None:
        """What its webhook would be told of an alarm that fires; None of one that does not."""
        name = alarm_name(self.endpoint, *alarm)
        found = [one for one in self.firing() if one["labels"].get("alertname") == name]
        alerts = [{"status": "firing", "labels": one["labels"], "annotations": one["annotations"]} for one in found]
        return json.dumps({"version": "4", "status": "firing", "alerts": alerts}) if alerts else None
