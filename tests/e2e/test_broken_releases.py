"""A release that is broken, and a champion that is: who is told, who is to blame, and how it goes on from there.

By the real engine on a real local cloud: each test goes on where the one before ended.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from typing import Any

import pytest
from click.testing import CliRunner

from bench.bed import Bed
from cli.local.stack import Stack
from cli.main import main as modelstack
from cli.replay import Report
from cli.target import ROOT
from cli.view.snapshot import take
from tests.e2e.conftest import Unpreviewed, package, said, shares, succeeded

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

PROGRAM = (
    *("audit", "infra", "model", "monitoring", "pipeline", "platforms", "provenance", "requirements", "retraining"),
    *("rollout", "serving", "tracking"),
)
BOOM = "the table of carriers is empty"


@pytest.fixture(scope="module")
def broken(story: Bed, first: Stack) -> Stack:
    """The same stack from a checkout whose model trains and is evaluated, and raises when it is imported to serve."""
    root = story.folder / "checkout"
    for room in PROGRAM:
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Pulumi.yaml", root)
    (root / ".venv").symlink_to(ROOT / ".venv")
    with (root / "model" / "serving.py").open("a") as code:
        code.write(f'\nimport sys\nif "serving.worker" in sys.orig_argv:\n    raise RuntimeError("{BOOM}")\n')
    return Unpreviewed("local", {**story.environment, "PYTHONPATH": str(root)}, root, first.config)


def live(story: Bed) -> dict[str, Any]:
    """The endpoint as AWS describes it."""
    target = story.target()
    return target.client("sagemaker").describe_endpoint(EndpointName=target.endpoint)


def answers(story: Bed) -> bool:
    """Whether the endpoint predicts."""
    target = story.target()
    answer = target.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=target.endpoint,
        ContentType="application/json",
        Body=(ROOT / "model" / "example_request.json").read_bytes(),
    )
    return b"probability" in answer["Body"].read()


def damage(story: Bed, archive_uri: str) -> None:
    """Put another file into an archive in the bucket, as somebody who does not know its seal would."""
    bucket, key = archive_uri.removeprefix("s3://").split("/", 1)
    s3 = story.target().client("s3")
    before, after = io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()), io.BytesIO()
    with tarfile.open(fileobj=before) as sealed, tarfile.open(fileobj=after, mode="w:gz") as changed:
        for member in sealed:
            content = sealed.extractfile(member)
            body = content.read() if content else b""
            if member.name == "metrics.json":
                body += b" "
                member.size = len(body)
            changed.addfile(member, io.BytesIO(body))
    s3.put_object(Bucket=bucket, Key=key, Body=after.getvalue())


def test_a_first_release_that_never_starts_does_not_stand_in_the_way_of_the_next(first: Stack, broken: Stack) -> None:
    """AWS's provider leaves an endpoint that fails outside the state, and AWS refuses its name from then on."""
    done = broken.up()
    assert done.code != 0
    assert "did not pass the ping health check" in done.output
    told = said(first.preview("--json"))
    assert "endpoint flight-delay-local failed when an earlier update made it, and serves nothing" in told
    assert "The update deletes it and makes it anew" in told
    assert "It is deleted and made anew" in succeeded(first.up()).output


def test_a_release_that_raises_on_import_is_rejected_with_its_last_words_and_the_champion_serves_on(
    story: Bed, broken: Stack
) -> None:
    before = story.stack.outputs()["champion"]
    done = broken.up()
    assert done.code != 0
    assert "Traceback" not in done.output
    assert "rolled back: release" in done.error
    assert "did not pass the ping health check" in done.error
    assert f"the model's code failed: RuntimeError: {BOOM}. `modelstack explain` shows" in done.error

    seen = take(story.target())
    assert (seen.champion_package, seen.challenger, shares(seen)) == (before, None, {"champion": 100.0})
    assert (live(story)["EndpointStatus"], answers(story)) == ("InService", True)
    outputs = story.stack.outputs()
    assert (outputs["champion"], outputs["challenger"]) == (before, None)
    assert seen.verdict is not None
    assert (seen.verdict["outcome"], seen.verdict["source"]) == ("rolled_back", "endpoint")
    rejected = package(story, seen.verdict["package_digest"])
    assert rejected["ModelApprovalStatus"] == "Rejected"
    assert rejected["ApprovalDescription"].endswith(BOOM)


def test_the_next_preview_of_a_broken_release_tells_why_it_is_not_tried_again(broken: Stack) -> None:
    told = said(broken.preview("--json"))
    assert "was rolled back and is not tried again" in told
    assert BOOM in told


def test_a_good_version_is_released_after_a_broken_one(story: Bed, first: Stack, traffic: Report) -> None:
    before = story.stack.outputs()["champion"]
    succeeded(first.with_parameters(story.folder, max_iter=6).up())
    outputs = story.stack.outputs()
    assert outputs["champion"] == outputs["package_digest"] != before
    assert shares(take(story.target())) == {"champion": 100.0}
    assert traffic.failures == []


def test_a_damaged_champion_is_named_and_the_innocent_challenger_is_not_rejected(story: Bed, first: Stack) -> None:
    outputs = story.stack.outputs()
    damage(story, outputs["release"]["archive_uri"])
    innocent = first.with_parameters(story.folder, max_iter=7)
    done = innocent.up()
    assert done.code != 0
    assert "Traceback" not in done.output
    assert f"a new instance of the champion, {outputs['release']['id']}, does not come up" in done.error
    assert "metrics.json has sha256" in done.error
    assert "is not rejected" in done.error

    seen = take(story.target())
    assert (seen.champion_package, shares(seen)) == (outputs["champion"], {"champion": 100.0})
    assert (live(story)["EndpointStatus"], answers(story)) == ("InService", True)
    assert seen.verdict is not None
    assert (seen.verdict["outcome"], seen.verdict["name"]) == ("failed", outputs["release"]["variant"])
    assert package(story, seen.verdict["package_digest"])["ModelApprovalStatus"] == "PendingManualApproval"
    assert f"modelstack skip-trial {seen.verdict['release']}" in said(innocent.preview("--json"))


def test_a_person_lets_a_release_past_a_damaged_champion(story: Bed, first: Stack) -> None:
    verdict = take(story.target()).verdict
    assert verdict is not None
    asked = CliRunner().invoke(modelstack, ["skip-trial", verdict["release"], "--reason", "the archive is lost"])
    assert asked.exit_code == 0, asked.output
    assert "takes over in the next `pulumi up`" in asked.output

    succeeded(first.with_parameters(story.folder, max_iter=7).up())
    seen = take(story.target())
    assert (seen.champion_package, shares(seen), answers(story)) == (
        verdict["package_digest"],
        {"champion": 100.0},
        True,
    )
    assert seen.verdict is not None
    assert (seen.verdict["outcome"], seen.verdict["source"]) == ("promoted", "person")
    assert package(story, verdict["package_digest"])["ModelApprovalStatus"] == "Approved"
