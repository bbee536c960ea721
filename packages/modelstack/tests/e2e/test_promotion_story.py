"""Dev, staging and prod in three accounts: the same bytes from one to the next, and what is refused on the way.

By the real engine on a real local cloud that enforces IAM: each test goes on where the one before ended.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError
from rich.console import Console

from bench.bed import Bed
from demos.promotion import __main__ as promote
from demos.promotion.__main__ import STACKS
from demos.promotion.account_session import RELEASES, AccountSession, user
from demos.promotion.demo_output import DemoOutput
from localcloud import process
from localcloud.setup import Places
from modelstack.cli.local.cloud import Local, account_of
from modelstack.platforms.aws.names import Names
from tests.e2e.conftest import FEW, QUICK, Unpreviewed, succeeded
from tests.needed import unused
from tests.process import ROOT
from tests.small import SMALL

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def places(story: Bed) -> dict[str, AccountSession]:
    """The three stacks of `make promote`, each with a user of its account: a small model, and quick trials."""
    made = {}
    for name in STACKS:
        config = story.folder / f"Pulumi.{name}.yaml"
        content = yaml.safe_load((ROOT / f"stacks/Pulumi.{name}.yaml").read_text())
        content["config"]["modelstack:rollout"] = QUICK
        content["config"]["modelstack:serving"]["capture_percent"] = FEW
        if content["config"]["modelstack:promotion"]["from"] is None:
            content["config"]["modelstack:model"]["parameters"] |= SMALL
        config.write_text(yaml.safe_dump(content))
        stack = Unpreviewed(name, story.environment, config=config)
        account = account_of(stack)
        assert account is not None
        root = {**story.environment, **process.keys(story.cloud, account)}
        keys = {**story.environment, **user(root, "releases", RELEASES)}
        succeeded(stack.pulumi("stack", "init", name))
        short = name.rpartition("-")[2]
        made[short] = AccountSession(replace(stack, environment=keys), short, account, root)
    return made


@pytest.fixture
def dev(places: dict[str, AccountSession]) -> AccountSession:
    """The stack that trains."""
    return places["dev"]


@pytest.fixture
def staging(places: dict[str, AccountSession]) -> AccountSession:
    """The stack that takes from dev."""
    return places["staging"]


@pytest.fixture
def prod(places: dict[str, AccountSession]) -> AccountSession:
    """The stack that takes from staging, and asks a person."""
    return places["prod"]


@pytest.fixture
def teller(story: Bed) -> DemoOutput:
    """Tells the story on the bed's cloud, as `make promote` does."""
    return DemoOutput(Console(), Local(Places(story.folder, "modelstack", story.folder), "modelstack"))


def test_staging_takes_the_champion_of_dev_as_the_same_bytes_and_trains_nothing(
    dev: AccountSession, staging: AccountSession
) -> None:
    succeeded(dev.stack.up())
    done = succeeded(staging.stack.up())
    champion = dev.stack.outputs()["champion"]
    assert staging.stack.outputs()["champion"] == champion
    assert "training" not in done.output
    version = staging.version(champion)
    assert version["ModelApprovalStatus"] == "Approved"
    known = version["CustomerMetadataProperties"]
    assert known["promoted_from"].split(":")[4] == dev.account
    assert known["trained_by"] == f"arn:aws:iam::{dev.account}:user/releases"
    assert known["registered_by"] == f"arn:aws:iam::{staging.account}:user/releases"


def test_the_keys_of_another_account_are_refused(
    dev: AccountSession, staging: AccountSession, prod: AccountSession
) -> None:
    """Before anything is declared, and by each resource."""
    refused = replace(prod.stack, environment=dev.stack.environment).up()
    assert refused.code != 0
    assert "Traceback" not in refused.output
    assert f"account {dev.account} is not allowed" in refused.output
    assert prod.stack.outputs() == {}
    with pytest.raises(ClientError, match="AccessDenied"):
        dev.client("s3").list_objects_v2(Bucket=staging.stack.outputs()["artifact_bucket"])


def test_prod_waits_for_a_person_who_is_not_its_author_and_serves_the_same_bytes_then(
    teller: DemoOutput, dev: AccountSession, staging: AccountSession, prod: AccountSession
) -> None:
    """As `make promote` tells it, which takes what serves already as it is."""
    promote._first(teller, dev, staging, prod)
    promote._same(teller, dev, staging, prod)
    assert [text for text, held in teller.checks if not held] == []
    assert len(teller.checks) == 8


def test_keys_of_another_account_agree_to_nothing(dev: AccountSession, prod: AccountSession) -> None:
    release = prod.stack.outputs()["release"]["id"]
    foreign = prod.modelstack("approve", release, "--reason", "I trained it", keys=dev.stack.environment)
    assert (foreign.code, f":{dev.account}:" in foreign.output) == (3, True), foreign.output
    own = prod.modelstack("approve", release, "--reason", "I took it")
    assert (own.code, "may not approve it" in own.output) == (1, True), own.output


def test_what_can_be_proved_lies_in_one_folder(
    teller: DemoOutput, places: dict[str, AccountSession], tmp_path: Path
) -> None:
    dev, prod = places["dev"], places["prod"]
    champion = dev.stack.outputs()["champion"]
    promote._documents(teller, tmp_path, champion, *places.values())
    assert [text for text, held in teller.checks if not held] == []
    (agreed,) = (tmp_path / "prod" / "approvals").rglob("*.json")
    assert json.loads(agreed.read_text())["who"] == f"arn:aws:iam::{prod.account}:user/approves"
    lines = [json.loads(line)["record"] for line in (tmp_path / "prod" / "audit.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines].count("approval") == 1
    for place in places.values():
        said = {path.name for path in (tmp_path / place.name).rglob("*") if path.is_file()}
        assert said > {
            "model.tar.gz",
            "model.sig",
            "provenance.sigstore.json",
            "facts.json",
            "card.md",
            "audit-key.der",
        }


def test_the_role_for_other_accounts_has_used_what_this_story_shows_to_be_needed(
    story: Bed, dev: AccountSession
) -> None:
    names = Names("flight-delay", dev.stack.name, dev.account, "us-east-1")
    assert not unused("test_promotion_story", story.cloud, names)
