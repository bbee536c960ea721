"""One id is shown, and every name of a release is taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from modelstack.cli import rollback
from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.aws.platform import Aws
from modelstack.cli.target import Target
from modelstack.cli.view import releases as room
from modelstack.cli.view import render, snapshot
from modelstack.cli.view.releases import Name, find, known, rejected, variant_of
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason
from modelstack.services.versions import Version
from tests.cli.played import printed

RECIPES = {"old": "a2527f0cafcc" + "1" * 52, "bad": "131f6efc130e" + "2" * 52}
PACKAGES = {"old": "sha256:d612256132a5" + "3" * 52, "bad": "sha256:c8b8bc87b3b6" + "4" * 52}


def release(name: str) -> Release:
    id_ = RECIPES[name][:12]
    return Release(
        id_, RECIPES[name], PACKAGES[name], "uri", "image", "m", f"arn:{name}", "model", f"v-{id_}", f"solo-{id_}",
        "1 x ml.m5.large",
    )  # fmt: skip


VERDICT = Verdict(
    "rolled_back", Reason("person", "me", "no"), "1", "131f6efc130e", RECIPES["bad"], PACKAGES["bad"], 1_764_000_000.0
)
STATE = RolloutState("e", champion=release("old"), verdict=VERDICT, rejected={VERDICT.release: VERDICT})


class SageMaker:
    def describe_endpoint(self, **_: str) -> dict[str, Any]:
        variant = {"VariantName": "v-a2527f0cafcc", "CurrentWeight": 1.0}
        return {"EndpointStatus": "InService", "EndpointConfigName": "c", "ProductionVariants": [variant]}


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setattr(room, "journal_state", lambda _: STATE)
    monkeypatch.setattr(rollback, "journal_state", lambda _: STATE)
    found = Target("local", "e", "us-east-1", {"journal_table": "t", "alerts_topic": "arn:topic"})
    found._made["sagemaker"] = SageMaker()
    return found


def words(name: str) -> list[str]:
    recipe, package = RECIPES[name], PACKAGES[name]
    return [
        recipe[:12], f"v-{recipe[:12]}", recipe, recipe[:20], package, package[:19], package[7:19],
        recipe[:12].upper(),
    ]  # fmt: skip


@pytest.mark.parametrize("word", words("old"))
def test_a_variant_is_meant_by_any_name_of_its_release(target: Target, word: str) -> None:
    assert variant_of(target, word) == "v-a2527f0cafcc"


@pytest.mark.parametrize("word", ["v-nope", "a2527f0", "", *words("bad")])
def test_a_variant_that_is_not_there_is_refused_with_those_that_are(target: Target, word: str) -> None:
    with pytest.raises(OperatorError, match="not on endpoint e; there are: v-a2527f0cafcc"):
        variant_of(target, word)


@pytest.mark.parametrize("word", words("bad"))
def test_a_rejected_release_is_cleared_by_any_of_its_names_and_another_is_refused(
    target: Target, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    cleared: list[str] = []
    controller = SimpleNamespace(clear_rejection=cleared.append)
    monkeypatch.setattr(Aws, "controller", lambda *_: controller)
    monkeypatch.setattr(Aws, "caller", lambda _: "arn:aws:iam::000000000000:user/ada")
    assert rollback.clear_rejection(target, word) == "131f6efc130e"
    with pytest.raises(OperatorError, match="release a2527f0cafcc is not rejected; rejected are: 131f6efc130e"):
        rollback.clear_rejection(target, "a2527f0cafcc")
    assert cleared == ["131f6efc130e"]


def test_the_journal_knows_those_that_serve_and_those_that_were_rejected_each_once() -> None:
    assert [name.id for name in known(STATE)] == ["a2527f0cafcc", "131f6efc130e"]
    assert find("131f6efc130e", rejected(replace(STATE, rejected={}))) is None


def test_a_model_in_two_images_is_named_by_the_id_of_the_release() -> None:
    images = [Name(id_, RECIPES["bad"], PACKAGES["bad"]) for id_ in ("131f6efc130e", "0a0a0a0a0a0a")]
    assert find("v-0a0a0a0a0a0a", images) == images[1]
    assert find("131f6efc130e", images) == images[0], "an id goes before the recipe that begins so"
    with pytest.raises(OperatorError, match="several releases, each in another image: 131f6efc130e, 0a0a0a0a0a0a"):
        find(PACKAGES["bad"], images)


def test_people_are_shown_one_id_and_no_package_digest(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    named = ("arn:1", 1, RECIPES["old"], PACKAGES["old"], "", "", "registry/serving:process", "Approved", "")
    package = Version(*named, datetime.now(UTC))
    monkeypatch.setattr(snapshot, "journal_state", lambda _: STATE)
    monkeypatch.setattr(Aws, "alarms", lambda _: ())
    monkeypatch.setattr(Aws, "versions", lambda _: SimpleNamespace(list=lambda: iter([package])))
    seen = snapshot.take(target)
    shown = printed(render.snapshot(seen))
    assert shown.count("a2527f0cafcc") == 3  # the headline, the variant, the package
    assert "d612256132a5" not in shown
    assert seen.as_dict()["champion_package"] == PACKAGES["old"]
