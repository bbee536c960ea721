"""`modelstack approve` agrees to a release that waits for people, and `status` says who has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from modelstack.cli.agreement import line
from modelstack.cli.main import main
from modelstack.cli.target import Target
from modelstack.platforms.aws.approvals import BucketApprovals
from modelstack.platforms.kubernetes.kinds import PACKAGE
from modelstack.rollout.core.release import release_id
from modelstack.rollout.core.state import Phase
from modelstack.services.approvals import Approval, ApprovalRefused
from tests.cli.clustered import NAMESPACE, Cluster
from tests.cli.there import NAME
from tests.cli.there import target as on_cluster

OUTPUTS = {"artifact_bucket": "bucket", "package_group": "group", "awaits": {"release": "3f0c1a2b4d5e", "people": 2}}
Shell = Callable[..., Result]


@pytest.fixture
def agreed() -> list[Approval]:
    return []


@pytest.fixture
def shell(agreed: list[Approval], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Runs `modelstack approve` on a stack with some outputs, as a person whom each run names."""

    def go(*words: str, who: str = "arn:aws:iam::1:user/first", phase: Phase = Phase.IDLE, **outputs: Any) -> Result:
        def give(_: Any, approvals: Any, release: str, why: str, now: float, registry: str) -> Any:
            assert (approvals.blobs.bucket, registry) == ("bucket", "group")
            if release != "3f0c1a2b4d5e":
                raise ApprovalRefused(f"no release {release} is registered in group")
            agreed.append(Approval(release, "sha256:cd", who, why, now))
            return who, len(agreed)

        target = Target("prod", "endpoint", "us-east-1", OUTPUTS | outputs)
        monkeypatch.setattr("modelstack.cli.commands.deciding.find", lambda _: target)
        monkeypatch.setattr(
            "modelstack.cli.commands.deciding.give_approval", lambda _, why: f"the trial goes on: {why}"
        )
        monkeypatch.setattr("modelstack.cli.agreement.journal_state", lambda _: type("State", (), {"phase": phase}))
        monkeypatch.setattr("modelstack.cli.agreement.approve", give)
        return CliRunner().invoke(main, ["approve", *words])

    return go


def test_a_person_agrees_and_is_told_who_else_must(shell: Shell, agreed: list[Approval]):
    done = shell("--reason", "looks well")
    assert done.stdout == "arn:aws:iam::1:user/first agrees to release 3f0c1a2b4d5e; 1 of 2 have agreed\n"
    done = shell("3f0c1a2b4d5e", "--reason", "tried it", who="arn:aws:iam::1:user/second")
    assert done.stdout.endswith("2 of 2 have agreed: pulumi up --stack prod puts it on trial\n")
    assert [one.why for one in agreed] == ["looks well", "tried it"]


def test_to_agree_needs_a_reason_and_a_release_that_is_there(shell: Shell, agreed: list[Approval]):
    done = shell()
    assert (done.exit_code, agreed) == (2, [])
    assert "to agree to release 3f0c1a2b4d5e needs a reason" in done.stderr
    done = shell("000000000000", "--reason", "looks well")
    assert (done.exit_code, agreed) == (1, [])
    assert "no release 000000000000 is registered in group" in done.stderr


def test_a_trial_that_waits_comes_before_a_release_that_is_not_named(shell: Shell, agreed: list[Approval]):
    given = {"phase": Phase.PAUSED, "journal_table": "table"}
    assert shell("--reason", "well", **given).stdout == "the trial goes on: well\n"
    assert agreed == []
    assert "1 of 2" in shell("3f0c1a2b4d5e", "--reason", "well", **given).stdout


def test_where_no_release_waits_it_is_about_the_trial(shell: Shell):
    assert shell("--reason", "well", awaits=None).stdout == "the trial goes on: well\n"


def test_status_says_who_has_agreed_and_why(monkeypatch: pytest.MonkeyPatch):
    by = [Approval("3f0c1a2b4d5e", "sha256:cd", "arn:aws:iam::1:user/first", "looks well", 1.0)]
    monkeypatch.setattr(BucketApprovals, "given", lambda *_: by)
    told = line(Target("prod", "endpoint", "us-east-1", OUTPUTS))
    assert told == "release 3f0c1a2b4d5e: 1 of 2 have agreed: arn:aws:iam::1:user/first (looks well)"
    assert line(Target("prod", "endpoint", "us-east-1", {})) == ""


def test_a_person_agrees_on_a_cluster_as_who_its_api_server_knows(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = {"release": release_id("a" * 64, "r/serving@sha256:2"), "people": 1}
    there = on_cluster(cluster)
    target = Target(there.stack, there.endpoint, "", {**there.outputs, "awaits": waits})
    monkeypatch.setattr("modelstack.cli.commands.deciding.find", lambda _: target)
    assert line(target) == f"release {waits['release']}: 0 of 1 have agreed"
    done = CliRunner().invoke(main, ["approve", "--reason", "looks well"])
    assert done.output == (
        f"ada@example.org agrees to release {waits['release']}; 1 of 1 have agreed: "
        "pulumi up --stack prod puts it on trial\n"
    )
    status = cluster.objects[PACKAGE.path(NAMESPACE, f"{NAME}-a")]["status"]
    assert [(one["who"], one["why"]) for one in status["agreed"]] == [("ada@example.org", "looks well")]
    assert line(target).endswith("1 of 1 have agreed: ada@example.org (looks well)")
    done = CliRunner().invoke(main, ["approve", "0" * 12, "--reason", "looks well"])
    assert (done.exit_code, done.stderr) == (1, f"error: no release {'0' * 12} is registered in models/{NAME}\n")
