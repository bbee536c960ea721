"""Rows that only a cluster has: a node, a gateway, a control plane and other tools can fail or meddle there.

Those that disturb every other row are played alone, the most destructive ones last.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from modelstack.platforms.kubernetes.kinds import ROUTE
from tests.conformance import cluster_faults as faults
from tests.conformance.cluster_stage import LONG, SiteStage
from tests.conformance.row import PROMOTED, QUICK, THEIRS, UNJUDGED, Expected, Loses, Row, reduced, rolled_back
from tests.conformance.stage import Act

TOLD_AGAIN = replace(PROMOTED, again=True)
TIMED_OUT = rolled_back("timeout", "max_seconds")
UNANSWERED = Expected("failed", "timeout", ("max_seconds",), "champion", UNJUDGED, fails=THEIRS)
NOT_TRIED = Expected("failed", "endpoint", ("endpoint",), "champion", UNJUDGED, silent=THEIRS)
SHORT = replace(QUICK, max_seconds=60)
LOGS_IN = {"deadline": 15, "logs_in": True}
NO_IMAGE = f"10.99.0.1:5000/faults/none@sha256:{'0' * 64}"
ClusterRow = partial(Row, place="shared", plan=LONG, drive=SiteStage.tried)
"""A row whose trial the controllers in the cluster carry on."""
TwoPodsRow = partial(ClusterRow, pods=2, plan=replace(LONG, min_requests=200), expects=TOLD_AGAIN)
"""A row that takes pods from the challenger for a while."""
AloneRow = partial(ClusterRow, expects=TOLD_AGAIN, alone=True)
"""A row that disturbs every other one."""
AS_IF_NOTHING = "A pause; then `promoted`, as if nothing had happened."


@contextmanager
def _an_hour_behind(stage: SiteStage) -> Generator[None]:
    with faults.behind(3600) as url:
        stage.prometheus = url
        stage.declare()
        yield


def _names_the_writer(writer: str) -> Act:
    def check(stage: SiteStage) -> None:
        told = [event["message"] for event in stage.events(ROUTE.kind)]
        assert any(writer in text for text in told), f"no Event of the route names {writer}: {told}"

    return check


CLUSTERS: tuple[Row, ...] = (
    ClusterRow(
        name="image-missing",
        happens="The challenger's image is not in the registry. Whose fault that is nobody can say, so the release is "
        "not rejected.",
        see="`failed`, source `endpoint`: `ImagePullBackOff` with the image and the registry's words.",
        do="Push the image, or give the namespace the right to pull it; then release again.",
        challenger={"image": NO_IMAGE},
        expects=replace(NOT_TRIED, says="ImagePullBackOff"),
    ),
    ClusterRow(
        name="login-put-right",
        happens="The challenger's pods could not fetch its package, as the login of the registry was wrong. When it is "
        "right, the release is tried again. It begins with new pods: the old ones wait for up to five minutes before "
        "they retry, and what they and their Deployment say is past.",
        see="`failed`, source `endpoint`, with the registry's words and `pull_secret`; then, after the next update, "
        "`promoted`.",
        do="Put the login right; then release again.",
        challenger=LOGS_IN,
        before=faults.wrong_login(LOGS_IN),
        expects=TOLD_AGAIN,
    ),
    ClusterRow(
        name="quota-exceeded",
        happens="The namespace's ResourceQuota leaves no room for the challenger's pods. It gets no traffic, and is "
        "not rejected when its Deployment's time is over.",
        see="`failed`, source `endpoint`: `FailedCreate`, with what the quota allows and what was asked for.",
        do="Raise the quota, or ask for fewer or smaller pods (`serving.instance_count`, `cpu`, `memory`); then "
        "release again.",
        challenger={"deadline": 15, "spec": {"priorityClassName": "quota-exceeded"}},
        before=faults.quota,
        expects=replace(NOT_TRIED, says="exceeded quota"),
    ),
    ClusterRow(
        name="oom-killed",
        happens="Each request costs the challenger memory, so the kernel kills its container again and again. "
        "Requests that no pod answers count for neither version, and it takes no step. That its own container ends "
        "rejects it.",
        see="`rolled back`, source `endpoint` with the words `exit code 137 (OOMKilled)`.",
        do="Look for what the model keeps, or raise `serving.memory`.",
        challenger={"behaviour": {"eats": 40_000_000}},
        place="apart",
        loses=Loses("those that came to the challenger while it was down", 200),
        expects=rolled_back("endpoint", "v-challenger", fails=THEIRS),
    ),
    ClusterRow(
        name="readiness-flapping",
        happens="The challenger's pod is ready for five seconds, and then not for five. A 503 that the gateway answers "
        "for it says nothing of either version: with one in the last two windows no step is taken, and the time runs "
        "out. Where the gateway answers none, no caller met it, and the challenger is judged by its own answers.",
        see="`the gateway answers requests itself with a 5XX` while that is so, and the alarm `gateway-errors`.",
        do="Look why the health check fails; release with more than one pod. Until then nothing else behind that "
        "gateway is judged either.",
        challenger={"behaviour": {"flaps": 5}},
        place="far",
        plan=replace(QUICK, max_seconds=45),
        loses=Loses("those that came to the challenger while it was not ready", 200),
        expects=UNANSWERED,
        either=replace(TOLD_AGAIN, fails=THEIRS),
    ),
    TwoPodsRow(
        name="pods-deleted",
        happens="Somebody deletes all pods of the challenger at once, without a grace period. The gateway answers 503 "
        "until new pods are ready. That is no failure of the model, so nothing is rolled back for it.",
        see="`the challenger's instances left requests of this step unanswered` while that is so; then `promoted`.",
        do="Nothing.",
        during=faults.delete_challenger,
        loses=Loses("those that came while no new pod was ready", 400),
    ),
    TwoPodsRow(
        name="pods-hang",
        happens="One of the challenger's two pods hangs: its process is stopped. It fails its readiness probe and gets "
        "no new requests after seconds. Those that it holds are answered 504 by the gateway, which is no failure of "
        "the model.",
        see="The requests that nobody answered, as failed ones in `modelstack status`; then `promoted`.",
        do="Nothing. The liveness probe restarts the container after two minutes.",
        during=faults.stop_challenger,
        loses=Loses("those that the pod holds", 400),
    ),
    ClusterRow(
        name="challenger-scaled-to-zero",
        happens="A person or an autoscaler scales the challenger's Deployment to 0 pods. The champion gets everything "
        "back before the last pod has ended. That is no failure of the model, so the release is not rejected.",
        see="`failed`, source `endpoint`: `Deployment ... has 0 replicas`.",
        do="Let its autoscaler keep at least one pod; then release again.",
        pods=2,
        plan=replace(LONG, min_requests=200),
        during=faults.scale_challenger_to_zero,
        loses=Loses("those that meet the last pods as they end", 50),
        expects=Expected("failed", "endpoint", ("endpoint",), "champion", UNJUDGED, says="has 0 replicas"),
    ),
    ClusterRow(
        name="rights-removed",
        happens="Somebody deletes the controllers' rights on the route in mid-step, and gives them back. The weights "
        "stay as they are meanwhile.",
        see=AS_IF_NOTHING,
        do="Nothing. To give rights back that stay away: `pulumi up --refresh`.",
        during=faults.without_rights,
        expects=TOLD_AGAIN,
    ),
    ClusterRow(
        name="route-patched",
        happens="A person gives the challenger all traffic by `kubectl patch`. The next look writes the weights again "
        "that were decided, within a second.",
        see="An Event of the HTTPRoute that names who wrote; then `promoted`.",
        do="Nothing. To take the challenger back, use `modelstack rollback`.",
        during=faults.patch,
        expects=TOLD_AGAIN,
        shows=_names_the_writer("ada"),
    ),
    ClusterRow(
        name="route-reapplied",
        happens="A GitOps tool applies the route as its repository has it, rules and all, every four seconds until "
        "the end. The controller writes its own again each time, so traffic is elsewhere for moments only.",
        see="Events of the HTTPRoute that name the tool.",
        do="Take `spec.rules` out of the repository's manifest: the rollout controller owns them.",
        beside=faults.applied_by_a_tool,
        loses=Loses("those that meet the tool's rules just when a version comes or goes", 200),
        expects=TOLD_AGAIN,
        either=TIMED_OUT,
        shows=_names_the_writer("argocd-controller"),
    ),
    ClusterRow(
        name="two-controllers",
        happens="Three more controllers carry the rollout on at once, as fast as they can, beside the one that leads. "
        "The journal takes each decision from one of them.",
        see="`promoted`, told once.",
        do="Nothing.",
        beside=faults.three_controllers,
        expects=PROMOTED,
    ),
    ClusterRow(
        name="prometheus-an-hour-behind",
        happens="Prometheus answers, but knows nothing of the last hour. That is not taken for no traffic and no "
        "failure: what is unknown never promotes, and the time runs out.",
        see="`rolled back`, source `timeout`: `the metrics are unreachable`, and that Prometheus is behind.",
        do="Look at its scrapes and its clock, then `modelstack clear`.",
        plan=SHORT,
        beside=_an_hour_behind,
        expects=replace(TIMED_OUT, says="unreachable"),
    ),
    ClusterRow(
        name="clock-skew",
        happens="The clock of the controllers' machine is an hour ahead. A rollout goes by the API server's clock, "
        "which its answers tell, so no trial is over before its time.",
        see="`promoted`, as if nothing had happened.",
        do="Nothing for the rollout. Put the machine's clock right.",
        place="skewed",
        expects=TOLD_AGAIN,
    ),
    AloneRow(
        name="node-drained",
        happens="The node is drained in mid-trial of the models' pods and the controllers, and takes pods again later. "
        "A budget keeps one pod of each release; one that goes answers what it has.",
        see=AS_IF_NOTHING,
        do="Nothing. With one pod a release there is nothing to keep: give it two.",
        pods=2,
        during=faults.drained,
    ),
    AloneRow(
        name="controller-pod-killed",
        happens="The controller that leads is killed in mid-step, and the one that takes over, too. The next goes on "
        "from the journal when the Lease has run out, after 15 seconds.",
        see=AS_IF_NOTHING,
        do="Nothing.",
        during=faults.kill_leader,
    ),
    AloneRow(
        name="gateway-controller-killed",
        happens="Envoy Gateway, the control plane of the gateway, is killed in mid-step. Envoy goes on with what it "
        "knows, and the next step waits until a new Envoy Gateway has taken the route.",
        see=AS_IF_NOTHING,
        do="Nothing.",
        during=faults.kill_gateway,
    ),
    AloneRow(
        name="prometheus-down",
        happens="Prometheus is killed in mid-step and stays away. Neither metrics nor alarms can be read. After "
        "`metrics_timeout_minutes` the challenger goes back to its last proven share, here 0. What is unknown never "
        "promotes, and the time runs out.",
        see="`reduced`, as an Event and at the webhook; then `rolled back`, source `timeout`: `the metrics are "
        "unreachable`. No alarm can fire meanwhile.",
        do="Start it, then `modelstack clear`.",
        plan=replace(SHORT, metrics_timeout_seconds=10),
        shows=reduced,
        beside=faults.restarted,
        during=faults.gone("prometheus"),
        expects=replace(TIMED_OUT, says="unreachable"),
    ),
    AloneRow(
        name="envoy-killed",
        happens="The one Envoy that answers is killed in mid-step. Another one counts from 0, and what was counted "
        "before still counts.",
        see=AS_IF_NOTHING,
        do="Nothing. Run more than one Envoy where that pause is too long.",
        during=faults.kill_envoy,
        loses=Loses("all until another Envoy answers", 150),
    ),
    AloneRow(
        name="etcd-restarted",
        happens="etcd is killed in mid-step and comes back with what it had. Nothing can be read or written meanwhile; "
        "the weights stay as they are.",
        see=AS_IF_NOTHING,
        do="Nothing.",
        during=faults.down("etcd"),
        beside=faults.restarted,
    ),
    AloneRow(
        name="apiserver-down",
        happens="The API server is killed in mid-step and comes back. The weights stay as they are; a rollback that "
        "is asked for meanwhile waits for it, too.",
        see="The controllers are not ready: `the API server does not answer`. Then `promoted`.",
        do="Nothing. To take traffic from a bad version before it is back, there is no way but the version's pods.",
        during=faults.down("apiserver"),
        beside=faults.restarted,
    ),
)
