"""`modelstack restore`: which deployment a person means, what is said before it, and what stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from modelstack.cli import restore as restoring
from modelstack.cli.errors import OperatorError
from modelstack.cli.main import main
from modelstack.cli.restore import choose
from modelstack.cli.target import Target
from modelstack.cli.view import render
from modelstack.rollout.core.deployments import Deployment
from modelstack.rollout.core.plan import Step
from modelstack.rollout.reason import Reason
from modelstack.services.sealed_packages import RegistryError
from tests.cli.conftest import plan
from tests.cli.played import TARGET, look, of_ada, printed
from tests.simulator.platform import World

DAY = 86_400.0
NOW = 30_000 * DAY
RECIPES = {"a": "a" * 64, "b": "b" * 64}


def deployment(name: str, since: float, until: float | None, **changes: Any) -> Deployment:
    facts = {"release": RECIPES[name][:12], "package": f"sha256:{name * 8}{'0' * 56}", "recipe": RECIPES[name]}
    return Deployment(**{**facts, "image": "image", "since": since, "record": 2, "until": until, **changes})


A, B, A_AGAIN = deployment("a", DAY, 2 * DAY), deployment("b", 2 * DAY, 3 * DAY), deployment("a", 3 * DAY, None)
SERVED = (A, B, A_AGAIN)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("1970-01-02", A),
        ("1970-01-02T23:59:59", A),
        ("1970-01-03T00:00:01Z", B),
        ("1970-01-03T01:00:00+02:00", A),
        ("2030-01-01", A_AGAIN),
        ("bbbbbbbbbbbb", B),
        ("v-bbbbbbbbbbbb", B),
        (B.package, B),
        (RECIPES["a"], A_AGAIN),
        ("bbbb", B),
        ("v-bbbbb", B),
        ("sha256:bbbb", B),
    ],
)
def test_a_time_means_what_served_then_and_a_name_means_its_last_time(word: str, meant: Deployment) -> None:
    assert choose(SERVED, word, "e", NOW) == meant


@pytest.mark.parametrize(
    ("word", "said"),
    [
        (
            "1970-01-01",
            r"nothing served e at 1970-01-01 00:00 UTC \([^)]+ ago\): the first release, aaaaaaaaaaaa, became champion",
        ),
        ("cccccccccccc", "--at cccccccccccc: no release of that name ever served e; served have: aaaaaaaaaaaa, bbbb"),
        ("bbb", "--at bbb: no release of that name"),
        ("yesterday", "--at yesterday: no release"),
        ("2099-01-01", "--at 2099-01-01 is still to come: 2099-01-01 00:00 UTC"),
        ("2026-02-30", "--at 2026-02-30 is no time: day is out of range"),
        ("9999-12-31T23:59-23:59", "--at 9999-12-31T23:59-23:59 is no time: year 10000 is out of range"),
        ("0001-01-01T00:00+23:59", r"--at 0001-01-01T00:00\+23:59 is no time: year 0 is out of range"),
        ("٢٠٢٦-03-01", "is no time: Invalid isoformat string"),
        ("", "--at : no release of that name"),
        ("sha256:", "--at sha256:: no release of that name"),
        ("\uff42" * 4, "no release of that name"),
    ],
)
def test_what_never_served_is_refused_with_what_did(word: str, said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        choose(SERVED, word, "e", NOW)


def test_the_model_of_two_releases_is_no_one_of_them() -> None:
    other = replace(B, release="cccccccccccc", image="other")
    with pytest.raises(OperatorError, match="names the model of several releases"):
        choose((*SERVED, other), B.package, "e", NOW)
    assert choose((*SERVED, other), "cccccccccccc", "e", NOW) == other
    near = replace(A, release="bbbb00000000", recipe="bbbb" + "0" * 60)
    with pytest.raises(OperatorError, match="bbbb begins several releases: bbbbbbbbbbbb, bbbb00000000"):
        choose((B, near), "bbbb", "e", NOW)
    assert choose((B, near), "bbbb0", "e", NOW) == near


def test_without_any_deployment_it_says_so() -> None:
    with pytest.raises(OperatorError, match="no release that served"):
        choose((), "1970-01-01", "e", NOW)


@pytest.fixture
def shell(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Types the command on a world in place of a cloud, whose archives are all there."""
    monkeypatch.setattr("modelstack.cli.target_options.resolve", lambda stack: TARGET)
    monkeypatch.setattr("modelstack.cli.rollback.platform_of", lambda _: of_ada(world))
    monkeypatch.setattr(restoring.audit_records, "proven", lambda _: list(world.records))
    monkeypatch.setattr(restoring, "journal_state", lambda _: world.state)
    monkeypatch.setattr(restoring, "_verified", lambda _, meant: f"s3://bucket/{meant.release}")
    return lambda *words: CliRunner().invoke(main, ["restore", *words])


def told(done: Result) -> str:
    return " ".join(done.output.split())


@pytest.fixture
def promoted(begin: Callable[..., World]) -> World:
    world = begin(plan(Step(50, 20)), 600)
    assert world.state.champion.id == "b"
    return world


def test_it_says_what_will_be_otherwise_and_keeps_the_wish(promoted: World, shell: Callable[..., Result]) -> None:
    done = shell("--at", "a", "--reason", "it sold more", "--yes")
    assert done.exit_code == 0, done.output
    assert "release a served from " in done.output
    assert "  package  sha256:a  (now sha256:b)" in done.output
    assert "release a is to serve again: pulumi up puts it on trial" in done.output
    wanted = promoted.state.restored
    assert (wanted.release, wanted.package_digest, wanted.archive_uri) == ("a", "sha256:a", "s3://bucket/a")
    assert (wanted.recipe, wanted.image_uri, wanted.reason.said) == ("a-recipe", "registry/serving:1", "it sold more")
    status = " ".join(printed(render.snapshot(look(promoted))).split())
    asked = "asked for by arn:aws:iam::000000000000:user/ada: it sold more"
    assert f"restored release a, in place of what checkout and config ask for: {asked}" in status
    assert "it is not on trial yet, type: pulumi up; to lift that: modelstack restore --clear" in status


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--at", "b", "--yes"], 1, ["release b serves endpoint now: there is nothing to restore"]),
        (["--at", "a"], 2, ["package sha256:a (now sha256:b)", "Add --yes"]),
        (["--yes"], 2, ["either --at, or --clear"]),
        (["--at", "a", "--clear", "--yes"], 2, ["either --at, or --clear"]),
    ],
    ids=["it serves", "no terminal to confirm on", "neither", "both"],
)
def test_what_cannot_be_restored_so_is_told_and_nothing_is_done(
    promoted: World, shell: Callable[..., Result], words: list[str], code: int, said: list[str]
) -> None:
    done = shell(*words, "--reason", "odd")
    assert done.exit_code == code
    assert [part for part in said if part not in told(done)] == []
    assert promoted.state.restored is None
    assert "--reason" in told(shell("--at", "a", "--yes"))


def test_what_serves_may_be_asked_for_in_place_of_another_that_is_restored(
    promoted: World, shell: Callable[..., Result]
) -> None:
    assert shell("--at", "a", "--reason", "odd", "--yes").exit_code == 0
    done = shell("--at", "b", "--reason", "no, b is right", "--yes")
    assert done.exit_code == 0, done.output
    assert "it serves now: nothing is otherwise, and it stays" in done.output
    assert promoted.state.restored.release == "b"
    assert "release b stays, whatever checkout and config ask for" in done.output
    assert "; it serves; to lift that: modelstack restore --clear" in printed(render.snapshot(look(promoted)))


def test_other_instances_of_what_serves_come_back_without_a_trial(
    promoted: World, shell: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    serves = promoted.state.champion
    facts = {
        "release": "b",
        "package": serves.package_digest,
        "image": serves.image_uri,
        "serving": {"instance_count": 3},
    }
    monkeypatch.setattr(restoring, "choose", lambda *_: deployment("b", DAY, None, **facts))
    done = shell("--at", "b", "--reason", "odd", "--yes")
    assert "  instance_count  3  (now not known)" in done.output
    assert "pulumi up moves release b back to what it was served with, without a trial" in done.output


def test_a_trial_under_way_is_not_disturbed(begin: Callable[..., World], shell: Callable[..., Result]) -> None:
    world = begin(seconds=20)
    done = shell("--at", "a", "--reason", "odd", "--yes")
    assert done.exit_code == 1
    assert "while endpoint is baking: release b is on it" in told(done)
    assert world.state.restored is None


def test_a_rejected_release_needs_the_persons_word_for_it(promoted: World, shell: Callable[..., Result]) -> None:
    promoted.controller().roll_back(Reason("person", "ada", "odd"))
    promoted.controller().follow(60)
    refused = shell("--at", "b", "--reason", "it was no fault of b", "--yes")
    assert refused.exit_code == 1
    assert "stays rejected: odd. To restore it in spite of that, add --although-rejected" in told(refused)
    assert "b" in promoted.state.rejected
    assert shell("--at", "b", "--reason", "no fault", "--yes", "--although-rejected").exit_code == 0
    assert "b" not in promoted.state.rejected


def test_clear_lets_the_config_count_again(promoted: World, shell: Callable[..., Result]) -> None:
    assert shell("--at", "a", "--reason", "odd", "--yes").exit_code == 0
    done = shell("--clear", "--reason", "b is mended", "--yes")
    assert done.exit_code == 0, done.output
    assert "checkout and config count again: pulumi up releases what they ask for" in done.output
    assert promoted.state.restored is None
    again = shell("--clear", "--reason", "b is mended", "--yes")
    assert (again.exit_code, "no release of endpoint is restored" in told(again)) == (1, True)


def test_an_archive_that_was_changed_is_told_with_what_lay_there_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*_: object, **__: object) -> str:
        raise RegistryError("it was changed after it was registered")

    monkeypatch.setattr("modelstack.cli.platform.package_store.verify_past", changed)
    outputs = {"artifact_bucket": "artifacts", "package_group": "packages", "signing_key": "key"}
    target = Target("prod", "e", "us-east-1", outputs)
    with pytest.raises(OperatorError, match="nothing of it was run: it was changed after") as refused:
        restoring._verified(target, A)
    assert "list-object-versions --bucket artifacts --prefix packages/aaaaaaaa" in str(refused.value.hint)
