from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.kinds import DEPLOYMENT, ENDPOINT_SLICE, POD
from modelstack.platforms.kubernetes.serving_config import Backend
from modelstack.platforms.kubernetes.workloads import SERVICE_NAME, Lacking, happened, lacking, ready_endpoints
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.core.fault import at_fault
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.rollout.worlds import release

BACKEND = Backend("v-1", "w-1")
Told = dict[str, Any]


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


def slices(api: FakeApi, name: str, *endpoints: Told, family: str = "IPv4") -> None:
    labels = {SERVICE_NAME: "w-1"}
    whole = {"metadata": {"name": name, "labels": labels}, "addressType": family, "endpoints": list(endpoints)}
    api.create(ENDPOINT_SLICE, whole)


def endpoint(address: str, pod: str, **conditions: bool) -> Told:
    return {"addresses": [address], "conditions": conditions, "targetRef": {"uid": pod}}


def why(api: FakeApi, *pods: Told, conditions: tuple[Told, ...] = (), **spec: Any) -> Lacking:
    selector = {"matchLabels": {"w": "w-1"}}
    made = api.create(DEPLOYMENT, {"metadata": {"name": "w-1"}, "spec": {"selector": selector, **spec}})
    api.replace_status(DEPLOYMENT, {**made, "status": {"conditions": list(conditions)}})
    for number, status in enumerate(pods):
        pod = api.create(POD, {"metadata": {"name": f"w-1-{number}", "labels": {"w": "w-1"}}, "spec": {}})
        api.replace_status(POD, {**pod, "status": status})
    return lacking(cast(Api, api), BACKEND)


def container(name: str = "serving", *, last: Told | None = None, **state: Any) -> Told:
    before = {"terminated": last} if last else {}
    return {"name": name, "ready": False, "restartCount": 2, "state": state, "lastState": before, "started": False}


def late(status: str = "False", reason: str = "ProgressDeadlineExceeded") -> Told:
    return {"type": "Progressing", "status": status, "reason": reason}


@pytest.mark.parametrize(("after", "final"), [(-5.0, False), (5.0, True)])
def test_a_deadline_that_was_over_before_the_rollout_began_is_none_of_its(
    api: FakeApi, after: float, final: bool
) -> None:
    passed = {**late(), "lastTransitionTime": "2026-03-01T12:00:00Z"}
    why(api, {"phase": "Pending"}, conditions=(passed,))
    began = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp() - after
    assert lacking(cast(Api, api), BACKEND, began).final is final


def ready(api: FakeApi) -> int:
    return ready_endpoints(cast(Api, api), ["w-1"])["w-1"]


def test_a_pod_with_two_addresses_is_one_endpoint(api: FakeApi) -> None:
    slices(api, "four", endpoint("10.0.0.1", "p-1", ready=True), endpoint("10.0.0.2", "p-2", ready=True))
    slices(api, "six", endpoint("fd00::1", "p-1", ready=True), family="IPv6")
    assert ready(api) == 2


def test_an_endpoint_that_says_nothing_is_ready_and_one_that_leaves_is_not(api: FakeApi) -> None:
    slices(api, "four", endpoint("10.0.0.1", "p-1"), endpoint("10.0.0.2", "p-2", ready=False, terminating=True))
    assert ready(api) == 1


def test_a_workload_without_slices_has_no_endpoint_and_none_asked_for_costs_no_call(api: FakeApi) -> None:
    assert ready(api) == 0
    api.calls.clear()
    assert ready_endpoints(cast(Api, api), []) == {}
    assert not api.calls


@pytest.mark.parametrize(
    ("why_not", "hint"),
    [
        ("registry.example.org answers 401 and says: UNAUTHORIZED", "the login in modelstack:kubernetes.pull_secret"),
        ("connection refused", "name the port in modelstack:kubernetes.egress_ports"),
    ],
)
def test_a_registry_that_gives_no_package_is_no_fault_of_the_release(api: FakeApi, why_not: str, hint: str) -> None:
    mine = release("mine")
    said = f"cannot read {mine.archive_uri}: {why_not}"
    fetch = container("fetch", last={"exitCode": 4, "message": said}, waiting={"reason": "CrashLoopBackOff"})
    told = why(api, {"initContainerStatuses": [fetch]}, conditions=(late(),)).words
    assert f"cannot read its package: {why_not}" in told
    assert hint in told
    assert at_fault(told, [mine, release("other")]) is None


def test_a_package_that_cannot_be_fetched_is_told_by_the_container_that_fetches_it(api: FakeApi) -> None:
    said = "fetch oci://r/packages@sha256:0: the digest is another"
    fetch = container("fetch", last={"exitCode": 2, "message": said}, waiting={"reason": "CrashLoopBackOff"})
    serving = container(waiting={"reason": "PodInitializing"})
    told = why(api, {"initContainerStatuses": [fetch], "containerStatuses": [serving]})
    assert told.final
    assert told.words == (
        "v-1 does not come up: container fetch of pod w-1-0 ended with exit code 2 (Error), 3 times by now; "
        f"it said last: {said}"
    )


def test_a_registry_that_does_not_answer_is_no_fault_of_the_package_and_is_asked_until_the_deadline(
    api: FakeApi,
) -> None:
    fetch = container("fetch", last={"exitCode": 4, "message": "no answer"}, waiting={"reason": "CrashLoopBackOff"})
    told = why(api, {"initContainerStatuses": [fetch]})
    assert not told.final
    assert told.words.startswith("workload w-1 does not come up: container fetch")
    assert "it said last: no answer. If the network keeps the pod from it, name the port in modelstack:" in told.words
    assert "no answer" in told.words


CRASHES = {"reason": "CrashLoopBackOff"}
COMPLETED = {"exitCode": 0, "reason": "Completed"}


@pytest.mark.parametrize(
    ("ended", "final", "words"),
    [
        (container(last={"exitCode": 137, "reason": "OOMKilled"}, waiting=CRASHES), True, "137 (OOMKilled), 3 times"),
        (
            {**container(terminated={"exitCode": 1, "message": "no network"}), "restartCount": 0},
            False,
            "1 (Error), once by now; it said last: no network",
        ),
        (container(terminated={"exitCode": 1, "message": "no column"}), True, "1 (Error), 3 times by now; it said"),
        (container(terminated=COMPLETED), True, "0 (Completed)"),
    ],
    ids=["too little memory", "the first crash is not the end", "the third is", "one that ends well serves nobody"],
)
def test_a_container_that_ends_is_told_with_its_reason(api: FakeApi, ended: Told, final: bool, words: str) -> None:
    fetched = container("fetch", terminated=COMPLETED)
    told = why(api, {"initContainerStatuses": [fetched], "containerStatuses": [ended]})
    assert (told.final, told.short) == (final, "CrashLoopBackOff")
    start = "does not come up: container serving of pod w-1-0 ended with exit code"
    assert told.words.startswith(f"v-1 {start} {words}")


def test_only_the_last_lines_are_told_and_not_too_much_of_them(api: FakeApi) -> None:
    said = "\n".join(["first", *("x" * 400 for _ in range(2)), "the end"])
    told = why(api, {"containerStatuses": [container(last={"message": said}, waiting={"reason": "CrashLoopBackOff"})]})
    assert told.words.endswith(" | the end")
    assert "first" not in told.words
    assert len(told.words) < 700


@pytest.mark.parametrize(
    "reason", ["ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"]
)
def test_what_the_cluster_refuses_is_final_and_names_no_variant(api: FakeApi, reason: str) -> None:
    told = why(api, {"containerStatuses": [container(waiting={"reason": reason, "message": "no\nsuch thing"})]})
    assert (told.final, told.short) == (True, reason)
    assert told.words.startswith("workload w-1 does not come up")
    assert "no such thing" in told.words


def test_of_two_pods_one_that_still_starts_is_waited_for(api: FakeApi) -> None:
    crash = {"containerStatuses": [container(last={"exitCode": 1}, waiting={"reason": "CrashLoopBackOff"})]}
    told = why(api, {"containerStatuses": [container(waiting={"reason": "ContainerCreating"})]}, crash)
    assert not told.final
    assert "3 times by now" in told.words


def test_a_pod_that_starts_is_no_trouble_yet_and_what_it_may_wait_for_is_named(api: FakeApi) -> None:
    fetch, serving = (container(name, waiting={"reason": "PodInitializing"}) for name in ("fetch", "serving"))
    there = {"type": "PodScheduled", "status": "True"}
    pod = {"initContainerStatuses": [fetch], "containerStatuses": [serving], "conditions": [there], "phase": "Pending"}
    waits = "pod w-1-0 is Pending: the node pulls its images, or makes its containers"
    assert why(api, pod).words == f"workload w-1 is not up yet: {waits}"
    told = why(FakeApi(), pod, conditions=(late(),), progressDeadlineSeconds=120)
    assert (told.final, told.short) == (True, "Pending")
    assert told.words == f"workload w-1 does not come up: {waits} (ProgressDeadlineExceeded, 120 s)"


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        ({"phase": "Pending"}, "pod w-1-0 is Pending"),
        ({"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}]}, "pod w-1-0 is Running"),
    ],
    ids=["it has no node yet", "it runs, and nobody has looked whether it is ready"],
)
def test_a_pod_that_no_node_makes_now_is_not_said_to_wait_for_one(api: FakeApi, pod: Told, words: str) -> None:
    told = why(api, pod)
    assert (told.words, told.final) == (f"workload w-1 is not up yet: {words}", False)


def test_a_pod_without_a_node_is_final_only_at_the_deadline(api: FakeApi) -> None:
    pod = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1"}]}
    assert not why(api, pod).final
    later = FakeApi()
    told = why(later, pod, conditions=(late(),), progressDeadlineSeconds=120)
    assert told.final
    where = "pod w-1-0 is not scheduled, Unschedulable: 0/1 (ProgressDeadlineExceeded, 120 s)"
    assert told.words == f"workload w-1 does not come up: {where}"


def test_a_quota_that_is_used_up_is_told(api: FakeApi) -> None:
    full = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: q"}
    told = why(api, conditions=(full,))
    assert not told.final
    assert told.words == "workload w-1 does not come up: it makes no pod, FailedCreate: exceeded quota: q"


def test_a_health_check_that_never_passes_is_the_containers_own(api: FakeApi) -> None:
    running = {**container(running={}), "started": True}
    told = why(api, {"containerStatuses": [running]}, conditions=(late(),))
    assert told.words.startswith("v-1 does not come up: container serving of pod w-1-0 runs and does not pass its")


def test_an_evicted_pod_is_told_with_its_reason(api: FakeApi) -> None:
    told = why(api, {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."})
    assert told.words.endswith("pod w-1-0 is Evicted The node was low on memory.")


def test_a_service_that_is_gone_is_told_where_the_pods_are_there(api: FakeApi) -> None:
    told = why(api, conditions=({"type": "Available", "status": "True"},))
    assert "Service w-1 is not there" in told.words


DOWN = {"type": "Available", "status": "False", "lastTransitionTime": "2026-11-29T02:00:00Z"}
NO_NODE = {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}


def silent(*, ready: str, initialized: str) -> Told:
    """A pod whose container runs and is not ready, since a time of the hour after two."""
    began = {"type": "Initialized", "status": "True", "lastTransitionTime": f"2026-11-29T02:{initialized}Z"}
    lost = {"type": "Ready", "status": "False", "lastTransitionTime": f"2026-11-29T02:{ready}Z"}
    running = {**container(running={}), "started": True}
    return {"phase": "Running", "conditions": [began, lost], "containerStatuses": [running]}


def test_without_a_word_of_its_pods_a_deployment_tells_since_when_nobody_answers(api: FakeApi) -> None:
    assert why(api, NO_NODE, conditions=(DOWN,)).since == 1795917600.0


def test_nobody_answers_since_the_last_pod_is_not_ready_and_not_since_one_was_missing(api: FakeApi) -> None:
    first, last = silent(ready="40:00", initialized="10:00"), silent(ready="50:00", initialized="10:00")
    assert why(api, NO_NODE, last, first, conditions=(DOWN,)).since == 1795917600.0 + 3000


def test_a_deployment_whose_pods_were_ready_before_did_not_come_up_too_late(api: FakeApi) -> None:
    lost = silent(ready="50:00", initialized="10:00")
    told = why(api, NO_NODE, lost, conditions=(DOWN, late()))
    assert not told.final
    assert "ProgressDeadlineExceeded" not in told.words


@pytest.mark.parametrize("ready", ["09:59", "10:00"])
def test_a_pod_that_never_was_ready_came_up_too_late(api: FakeApi, ready: str) -> None:
    never = silent(ready=ready, initialized="10:00")
    assert why(api, NO_NODE, never, conditions=(DOWN, late())).final


def test_a_container_that_fails_is_told_whatever_the_order_of_the_pods(api: FakeApi) -> None:
    lost = silent(ready="50:00", initialized="10:00")
    told = why(api, NO_NODE, lost, conditions=(DOWN,))
    assert told.words.startswith("v-1 does not come up: container serving of pod w-1-1")
    other = FakeApi()
    assert why(other, lost, NO_NODE, conditions=(DOWN,)).words.startswith("v-1 does not come up")


@pytest.mark.parametrize(
    ("began", "said"),
    [
        ("11:00", "container serving of pod w-1-0 ended with exit code 137 (OOMKilled) at 12:00:05 UTC, "),
        ("12:30", ""),
    ],
)
def test_deleted_restarted_and_unready_pods_are_reported(api: FakeApi, began: str, said: str) -> None:
    since = datetime.fromisoformat(f"2026-03-01T{began}:00Z").timestamp()
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-03-01T12:00:05Z"}
    unready = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-03-01T12:00:06Z"}
    why(api, {"containerStatuses": [container(last=ended, running={})], "conditions": [unready]}, {"phase": "Running"})
    made, now = "2 of 2 pods were made since the trial began", "pod w-1-0 is not ready since 12:00:06 UTC"
    assert happened(cast(Api, api), "w-1", since) == f"{made}, {said}{now}"


def test_of_pods_that_cannot_be_read_nothing_is_said(api: FakeApi) -> None:
    assert happened(cast(Api, api), "w-1", 0.0) == "0 of 0 pods were made since the trial began"
    api.find = api.list = lambda *_: (_ for _ in ()).throw(Unreachable("no answer"))  # type: ignore[method-assign]
    assert happened(cast(Api, api), "w-1", 0.0) == ""
