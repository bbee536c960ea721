"""A new serving image for the champion's own model that answers nothing but errors; then the same image, put right.

By the real engine on a real local cloud: each test goes on where the one before ended.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from bench.bed import Bed
from cli.local.stack import Stack
from cli.main import main as modelstack
from cli.replay import Report
from cli.view.snapshot import take
from localcloud.testing import faults as localcloud_faults
from rollout.core.release import release_id
from tests.e2e.conftest import said, shares, succeeded

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/flight-delay-local-serving:rebuilt"


@pytest.fixture(scope="module")
def rebuilt(first: Stack) -> Stack:
    """The same model in another image."""
    assert first.config is not None
    content = yaml.safe_load(first.config.read_text())
    content["config"]["modelstack:serving"]["image"] = IMAGE
    path = first.config.with_name("rebuilt.yaml")
    path.write_text(yaml.safe_dump(content))
    return replace(first, config=path)


def faults(story: Bed, **fault: Any) -> None:
    """Let instances go wrong so from now on; or, with nothing, no more."""
    localcloud_faults(story.cloud, "POST" if fault else "DELETE", fault or None)


def approvals(story: Bed) -> dict[str, tuple[str, str]]:
    """Of each registered image the package digest and the approval."""
    target = story.target()
    sagemaker = target.client("sagemaker")
    listed = sagemaker.list_model_packages(ModelPackageGroupName=target.output("package_group"))
    found = [
        sagemaker.describe_model_package(ModelPackageName=item["ModelPackageArn"])
        for item in listed["ModelPackageSummaryList"]
    ]
    return {
        item["InferenceSpecification"]["Containers"][0]["Image"]: (
            item["CustomerMetadataProperties"]["package_digest"],
            item["ModelApprovalStatus"],
        )
        for item in found
    }


def id_in_the_image(story: Bed) -> str:
    """The id of the champion's model in the other image."""
    return release_id(story.stack.outputs()["release"]["recipe"], IMAGE)


def test_the_model_is_released_in_the_image_of_the_stack(story: Bed, first: Stack) -> None:
    succeeded(first.up())
    release = story.stack.outputs()["release"]
    assert release["id"] == release["recipe"][:12] != id_in_the_image(story)


def test_a_bad_image_is_rolled_back_and_rejected_and_the_champion_of_the_same_model_is_not(
    story: Bed, rebuilt: Stack, traffic: Report
) -> None:
    before, name = story.stack.outputs(), id_in_the_image(story)
    faults(story, endpoint=before["endpoint_name"], variant=f"v-{name}", effect="error", status=500)
    done = rebuilt.up()
    assert done.code != 0
    assert "Traceback" not in done.output
    assert f"release {name}, the champion's model in another image, begins beside" in done.output
    assert "the release was not promoted: rolled back: " in done.error
    assert traffic.failures, "it met live traffic"
    assert shares(take(story.target())) == {"champion": 100.0}
    after, digest = story.stack.outputs(), before["champion"]
    assert (after["champion"], after["challenger"], after["release"]) == (digest, None, before["release"])
    assert approvals(story) == {before["release"]["image_uri"]: (digest, "Approved"), IMAGE: (digest, "Rejected")}


def test_the_next_preview_says_that_the_image_is_not_tried_again_and_the_stack_without_it_is_settled(
    story: Bed, first: Stack, rebuilt: Stack
) -> None:
    assert f"release {id_in_the_image(story)} was rolled back and is not tried again" in said(rebuilt.preview("--json"))
    assert "is not tried again" not in said(first.preview("--json"))


def test_an_image_that_was_put_right_is_tried_again_once_it_is_cleared(
    story: Bed, rebuilt: Stack, traffic: Report
) -> None:
    faults(story)
    before, name = story.stack.outputs(), id_in_the_image(story)
    cleared = CliRunner().invoke(modelstack, ["clear", name])
    assert cleared.exit_code == 0, cleared.output
    succeeded(rebuilt.up())
    release = story.stack.outputs()["release"]
    assert (release["id"], release["image_uri"]) == (name, IMAGE)
    assert release["package_digest"] == before["champion"], "the same model, byte by byte"
    assert approvals(story)[IMAGE] == (before["champion"], "Approved")
    (serving,) = take(story.target()).variants
    assert (serving.name, serving.image) == (f"v-{name}", IMAGE)
    assert traffic.failures == []
    succeeded(rebuilt.preview("--expect-no-changes"))
