"""Envoy's latency buckets: what they do to a margin, and that every config has the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelstack.platforms.kubernetes.metrics import EDGES, EDGES_APART, nearest_edge
from modelstack.rollout.core.catalogue import KNOWN
from modelstack.rollout.judge.metrics import Tally, Window
from modelstack.rollout.judge.verdict import judge

ROOT = Path(__file__).parents[5]
P99 = KNOWN["latency_p99"]


@given(st.floats(10, 30_000), st.floats(EDGES_APART, 2))
def test_a_margin_is_kept_within_an_eighth_of_the_latency_at_the_bounds(pivot: float, margin: float) -> None:
    cut = nearest_edge(pivot)
    assert cut is not None
    beyond = nearest_edge(cut * (1 + margin))
    assert beyond is not None
    assert 1 / (1 + EDGES_APART / 2) < cut / pivot < 1 + EDGES_APART / 2 + 0.01
    assert abs(beyond / cut / (1 + margin) - 1) < EDGES_APART / 2 + 0.01


@given(st.sampled_from(EDGES[:-2]))
def test_a_bound_is_its_own_nearest_and_the_default_margin_is_judged_within_six_points(edge: float) -> None:
    assert nearest_edge(edge) == edge
    if 10 <= edge <= 60_000:
        beyond = nearest_edge(1.5 * edge)
        assert beyond is not None and 0.44 < beyond / edge - 1 < 0.56
    assert nearest_edge(EDGES[-1] * 2) is None


def proxy(text: str) -> Any:
    objects = yaml.safe_load_all(text)
    return next(item for item in objects if item and item["kind"] == "EnvoyProxy")["spec"]["bootstrap"]["value"]


@pytest.mark.parametrize(
    "name", ["packages/localcloud/src/localcloud/cluster/manifests/gateway.yaml", "docs/how-to/kubernetes.md"]
)
def test_the_cluster_here_and_the_docs_have_the_bounds(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(apiVersion: gateway.envoyproxy.*?)```", text, re.DOTALL)
    config = yaml.safe_load(proxy(found[1] if found else text))
    (settings,) = config["stats_config"]["histogram_bucket_settings"]
    assert settings == {"match": {"suffix": "upstream_rq_time"}, "buckets": list(EDGES)}


@pytest.mark.slow
@pytest.mark.parametrize("p99", [12.0, 70.0, 101.0, 180.0, 700.0])
def test_a_challenger_twice_as_slow_is_never_promoted_and_an_equal_one_is_not_rolled_back(p99: float) -> None:
    cut = nearest_edge(p99)
    assert cut is not None
    beyond = nearest_edge(1.5 * cut)
    for slower, refused in ((2.0, "not worse"), (1.0, "worse")):
        answers = []
        for seed in range(20):
            source, windows = np.random.default_rng((int(p99), seed)), list[Window]()
            for at in range(40):
                old, new = source.lognormal(np.log(p99) - 2.326 * 0.5, 0.5, (2, 200))
                one, other = (
                    Tally(200, int((seen.round() > bound).sum()))
                    for seen, bound in ((old, cut), (new * slower, beyond))
                )
                windows.append(Window(60 * at, 60, {P99.name: one}, {P99.name: other}))
            answers.append(judge(windows, metrics=[P99], alpha=0.05).each[0].answer)
        assert refused not in answers
