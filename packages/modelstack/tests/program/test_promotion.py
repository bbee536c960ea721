"""Stacks of other accounts may take this one's champion, and read nothing else of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest

from modelstack.platforms.aws import journal
from modelstack.platforms.aws.journal import role_for
from modelstack.program import source as any_source
from modelstack.program.aws import source
from modelstack.rollout.core.errors import Unreachable
from tests.program.recorded import ACCOUNT, IMAGE, LOCAL, OLD, statements
from tests.program.recorded import run_program as run

OTHER = "111122223333"
ROLE = f"arn:aws:iam::{OTHER}:role/flight-delay-dev-promotion"
OUTPUTS = {
    "endpoint_name": "flight-delay-dev",
    "journal_table": "flight-delay-dev-rollouts",
    "region": "us-east-1",
    "promotion_role": ROLE,
    "alerts_topic": None,
}


def test_a_role_is_made_for_the_accounts_that_the_config_names() -> None:
    world = run("dev", serving={"image": IMAGE}, promotion={"to": [OTHER]})
    trust = {"AWS": [f"arn:aws:iam::{OTHER}:root"]}
    (assumes,) = statements(world.one(":Role", "promotion").inputs["assumeRolePolicy"])
    assert (assumes["Principal"], assumes["Action"]) == (trust, ["sts:AssumeRole"])
    (pulls,) = statements(world.one(":RepositoryPolicy").inputs["policy"])
    assert (pulls["Principal"], len(pulls["Action"])) == (trust, 3)
    assert world.exported["promotion_role"].endswith(":promotion")


def test_without_other_accounts_there_is_no_role() -> None:
    world = run()
    assert [one.name for one in world.all(":Role") if one.name == "promotion"] == []
    assert world.all(":RepositoryPolicy") == []
    assert world.exported["promotion_role"]["value"] is None


@pytest.mark.parametrize("role", [None, ROLE.replace(OTHER, ACCOUNT)])
def test_a_stack_of_the_same_account_is_read_without_a_role(role: str | None) -> None:
    assert role_for(role, ACCOUNT) is None
    assert role_for(ROLE, ACCOUNT) == ROLE


def test_the_champion_is_what_the_journal_of_the_source_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(journal, "champion", lambda *given: asked.append(given) or OLD)
    found = source.champion("dev", OUTPUTS, ACCOUNT)
    assert found == {**OLD.as_dict(), "region": "us-east-1", "role": ROLE}
    assert asked == [("us-east-1", "flight-delay-dev-rollouts", "flight-delay-dev", ROLE)]


def test_a_source_that_cannot_be_read_stops_the_update_before_anything_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise Unreachable(f"assume role {ROLE}: AccessDenied")

    monkeypatch.setattr(journal, "champion", denied)
    told = rf"promotion\.from = .dev.: what serves there is not known.*promotion\.to of dev name account {ACCOUNT}\?"
    with pytest.raises(pulumi.RunError, match=told):
        source.champion("dev", OUTPUTS, LOCAL.account)


def test_a_source_of_another_account_that_names_none_is_told_which_field_to_set() -> None:
    topic = f"arn:aws:sns:us-east-1:{OTHER}:flight-delay-dev-alerts"
    with pytest.raises(
        pulumi.RunError, match=rf"in account {OTHER}, and its modelstack:promotion.to names no.*{ACCOUNT}"
    ):
        source._check_named("dev", topic, None, ACCOUNT)
    source._check_named("dev", topic, ROLE, ACCOUNT)
    source._check_named("dev", topic.replace(OTHER, ACCOUNT), None, ACCOUNT)
    source._check_named("dev", None, None, ACCOUNT)


@pytest.mark.parametrize("account", ["1234", "flight", 123456789012, "system:masters"])
def test_an_account_is_twelve_digits(account: object) -> None:
    with pytest.raises(pulumi.RunError, match=r"modelstack:promotion.to"):
        run("dev", promotion={"to": [account]})


def test_a_platform_finds_its_champion_by_outputs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"platform": "files", "folder": "/models", "signing_key": "PEM"}

    async def told() -> dict[str, str]:
        return outputs

    def use(_: str) -> Any:
        return lambda _stack, outputs, _account: {"archive_uri": outputs["folder"]}

    reference = SimpleNamespace(outputs=SimpleNamespace(future=told))
    monkeypatch.setattr(pulumi, "StackReference", lambda _: reference)
    monkeypatch.setattr(pulumi, "get_organization", lambda: "organization")
    monkeypatch.setattr(pulumi, "get_project", lambda: "project")
    monkeypatch.setattr(any_source, "platform", lambda _: SimpleNamespace(use=use))
    found = asyncio.run(any_source.champion_of("dev", None))
    assert found == {"archive_uri": "/models", "platform": "files", "signed_by": "PEM"}
