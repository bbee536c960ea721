"""Rows that only a cluster has: a node, a gateway, a control plane and other tools can fail or meddle there.

Those that disturb every other row are played alone, the most destructive ones last.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from platforms.kubernetes.kinds import ROUTE
from tests.conformance import cluster_faults as faults
from tests.conformance.cluster_row import ClusterRow, Loses
from tests.conformance.cluster_stage import ClusterStage, Pods
from tests.conformance.of_events import BOTH
from tests.conformance.of_models import REJECTED, THEIRS
from tests.conformance.row import QUICK, Expected

PROMOTED = Expected("promoted", "judge", ("errors",), "challenger", BOTH, again=True)
UNJUDGED = {"champion": "Approved", "challenger": "PendingManualApproval"}
SHORT = replace(QUICK, max_seconds=30)
NO_IMAGE = f"10.99.0.1:5000/faults/none@sha256:{'0' * 64}"


@contextmanager
def _an_hour_behind(stage: ClusterStage) -> Generator[None]:
    with faults.behind(3600) as url:
        stage.prometheus = url
        stage.declare()
        yield


def _names_the_writer(*writers: str) -> faults.Callable[[ClusterStage], None]:
    def check(stage: ClusterStage) -> None:
        told = [event["message"] for event in stage.events(ROUTE.kind)]
        assert any(writer in text for text in told for writer in writers), told

    return check


CLUSTERS: tuple[ClusterRow, ...] = (
    ClusterRow(
        name="image-missing",
        happens="The challenger's image is not in the registry.",
        see="",
        do="",
        challenger=Pods(image=NO_IMAGE),
        expects=Expected("failed", "endpoint", ("endpoint",), "champion", UNJUDGED, silent=frozenset({"challenger"})),
    ),
    ClusterRow(
        name="quota-exceeded",
        happens="The namespace's ResourceQuota leaves no room for the challenger's pods.",
        see="",
        do="",
        challenger=Pods(deadline=15, spec={"priorityClassName": "quota-exceeded"}),
        before=faults.quota,
        expects=Expected("failed", "endpoint", ("endpoint",), "champion", UNJUDGED, silent=frozenset({"challenger"})),
    ),
    ClusterRow(
        name="oom-killed",
        happens="Each request costs the challenger memory.",
        see="",
        do="",
        challenger=Pods({"eats": 40_000_000}),
        place="apart",
        loses=Loses("those at a challenger that is down", 100),
        expects=Expected(
            "rolled_back", "endpoint", ("v-challenger",), "champion", REJECTED, fails=THEIRS
        ),
    ),
    ClusterRow(
        name="readiness-flapping",
        happens="The challenger's pods are ready and not, in turn.",
        see="",
        do="",
        challenger=Pods({"flaps": 6}),
        place="far",
        plan=replace(QUICK, max_seconds=45),
        loses=Loses("those for a challenger without a ready pod", 300),
        expects=Expected(
            "rolled_back", "timeout", ("max_seconds",), "champion", REJECTED, fails=THEIRS
        ),
    ),
    ClusterRow(
        name="route-patched",
        happens="A person gives the challenger all traffic in mid-trial.",
        see="",
        do="",
        during=faults.patch,
        expects=PROMOTED,
        shows=_names_the_writer("ada"),
    ),
    ClusterRow(
        name="route-reapplied",
        happens="A GitOps tool applies the route.",
        see="",
        do="",
        plan=replace(QUICK, max_seconds=60),
        beside=faults.applied_by_a_tool,
        expects=PROMOTED,
        shows=_names_the_writer("argocd-controller"),
    ),
    ClusterRow(
        name="two-controllers",
        happens="Several controllers carry on.",
        see="",
        do="",
        beside=faults.three_controllers,
        expects=replace(PROMOTED, again=False),
    ),
    ClusterRow(
        name="prometheus-an-hour-behind",
        happens="Prometheus has no sample of the last hour.",
        see="",
        do="",
        plan=SHORT,
        beside=_an_hour_behind,
        expects=Expected("rolled_back", "timeout", ("max_seconds",), "champion", REJECTED),
    ),
    ClusterRow(
        name="clock-skew",
        happens="The controllers' clock is an hour ahead.",
        see="",
        do="",
        place="skewed",
        expects=Expected("rolled_back", "timeout", ("max_seconds",), "champion", REJECTED),
    ),
    ClusterRow(
        name="node-drained",
        happens="A node is drained in mid-trial.",
        see="",
        do="",
        pods=2,
        during=faults.drained,
        expects=PROMOTED,
        alone=True,
    ),
    ClusterRow(
        name="controller-pod-killed",
        happens="",
        see="",
        do="",
        during=faults.kill_leader,
        expects=PROMOTED,
        alone=True,
    ),
    ClusterRow(
        name="gateway-controller-killed",
        happens="",
        see="",
        do="",
        during=faults.kill_gateway,
        expects=PROMOTED,
        alone=True,
    ),
    ClusterRow(
        name="prometheus-down",
        happens="",
        see="",
        do="",
        plan=SHORT,
        beside=faults.mended,
        during=faults.gone("prometheus"),
        expects=Expected(
            "rolled_back", "timeout", ("max_seconds",), "champion", REJECTED, says="the metrics are unreachable"
        ),
        alone=True,
    ),
    ClusterRow(
        name="envoy-killed",
        happens="",
        see="",
        do="",
        during=faults.kill_envoy,
        loses=Loses("those until another Envoy answers", 300),
        expects=PROMOTED,
        alone=True,
    ),
    ClusterRow(
        name="etcd-restarted",
        happens="",
        see="",
        do="",
        beside=faults.mended,
        during=faults.down("etcd"),
        expects=PROMOTED,
        alone=True,
    ),
    ClusterRow(
        name="apiserver-down",
        happens="",
        see="",
        do="",
        beside=faults.mended,
        during=faults.down("apiserver"),
        expects=PROMOTED,
        alone=True,
    ),
)
