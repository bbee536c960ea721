from __future__ import annotations

import re
from typing import Any, cast

from platforms.clock import SystemClock
from platforms.kubernetes.assembled import Clusters
from platforms.kubernetes.metrics import INTERNAL
from platforms.kubernetes.rules import rules
from platforms.kubernetes.serving_config import Backend, ServingConfig
from rollout.core.state import RolloutState
from tests.rollout.worlds import release

CHAMPION, CHALLENGER = Backend("v-a", "solo-a"), Backend("v-b", "solo-b")
OLDER = [Backend("v-c", "solo-c"), Backend("v-d", "solo-d")]


class Journal:
    def read(self) -> RolloutState:
        return RolloutState("flights", champion=release("a"), challenger=release("b"))


def clusters(variant: str) -> tuple[str, ...]:
    return Clusters(cast(Any, Journal()), "models", SystemClock())(variant)


def test_copies_of_requests_count_for_the_challenger_whichever_rule_copies_them() -> None:
    shadow = ServingConfig("shadow-ab", CHAMPION, CHALLENGER, 100)
    for older in ([], OLDER[:1], OLDER):
        copying = len(rules(shadow, {"v-a": 100}, older)) - 1
        mirror = f"httproute/models/flights/rule/{copying}-mirror-0"
        assert mirror in clusters("v-b")
        assert mirror not in clusters("v-a")
        assert re.fullmatch(INTERNAL, mirror), "no user gets its answer"


def test_a_variant_is_served_by_its_workload() -> None:
    assert clusters("v-a") == ("service/models/solo-a/8080/http",)
    assert clusters("v-b")[0] == "service/models/solo-b/8080/http"
    assert not re.fullmatch(INTERNAL, clusters("v-b")[0])
