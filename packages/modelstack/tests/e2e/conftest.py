"""One bed for a whole story: a local cloud, a backend, and stack `local`, all in a temporary folder."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import boto3
import pytest
import yaml
from click.testing import CliRunner, Result

from bench.bed import Bed, bed
from localcloud.setup import POLICY_PACK
from modelstack.cli.local.stack import Done, Stack
from modelstack.cli.main import main as modelstack
from modelstack.cli.replay import Report, background
from modelstack.cli.target import Target
from modelstack.cli.view.snapshot import Snapshot
from modelstack.platforms.aws.endpoint import controller
from modelstack.rollout.core.state import RolloutState
from tests.secrecy import Watch, leaks
from tests.small import SMALL

QUICK: dict[str, Any] = {
    "wait": True,
    "strategy": {"kind": "canary", "weight": 50, "bake_seconds": 1},
    "judge": {"min_requests": 10, "metrics": {"errors": {"margin": 0.3}}},
    "replay": None,
    "max_minutes": 15,
    "metrics_timeout_minutes": 15,
}
"""A trial of one short step that few requests decide, and that waits for the first ones."""


PACKAGES = ("infra", "model", "policy")
"""The code of the project: a copy of it that runs the program or the commands needs all of it."""
FEW = 1  # percent of the requests are captured where nobody looks at them: each file of them calls functions
TOKEN = "ghp_which-nobody-may-see"
KEYS = ("cloud/*credentials", "cloud/*iam.json", "cloud/*sts.json")
"""Files of the local cloud that are there to hold keys."""
RATE = 6  # requests a second: one window of ten seconds then has enough for a verdict


class Unpreviewed(Stack):
    """A stack whose updates show no preview first, which would run the whole program once more.

    No policy judges an update, either; those judge the story's previews, and an update in `test_release_story.py`.
    """

    def pulumi(self, *words: str, on_line: Callable[[str], None] | None = None) -> Done:
        """Run `pulumi WORDS`, and keep what it says where secrets are looked for when the story ends."""
        done = super().pulumi(*words, on_line=on_line)
        keep(done.output)
        return done

    def up(self, *, on_line: Callable[[str], None] | None = None) -> Done:
        """`pulumi up --skip-preview` without questions."""
        words = ("up", "--yes", "--skip-preview", "--stack", self.name, *self.options())
        unjudged = replace(self, environment={**self.environment, POLICY_PACK: ""})
        return unjudged.pulumi(*words, on_line=on_line)


def unpreviewed(stack: Stack) -> Stack:
    """The same stack without previews before its updates."""
    return Unpreviewed(stack.name, stack.environment, stack.root, stack.config)


@pytest.fixture(scope="module")
def story() -> Iterator[Bed]:
    """An empty local cloud and stack; the tests of a module go through its life in order.

    At its end no state, log, package, object or audit record holds a secret, nor what was printed.
    """
    # boto3 keeps a session, and AWS's SDK above it: that of another story has the keys of another cloud.
    session = mock.patch.object(boto3, "DEFAULT_SESSION", None)
    with session, bed(GITHUB_TOKEN=TOKEN) as made, Watch(made.environment) as watch:
        yield replace(made, stack=unpreviewed(made.stack))
        assert not watch.called_with()
        assert not leaks(made.folder, watch.secrets, KEYS)


@pytest.fixture(scope="module")
def first(story: Bed) -> Stack:
    """A small model and a quick trial, in the image that a local stack has by itself."""
    return having(story.stack.with_parameters(story.folder, **SMALL), QUICK, capture_percent=FEW)


@pytest.fixture
def traffic(story: Bed) -> Iterator[Report]:
    """The model's events at a constant rate while a test runs."""
    with background(story.target(), RATE) as report:
        yield report


def having(stack: Stack, rollout: Mapping[str, Any], **serving: Any) -> Stack:
    """The stack with another way to release, and other instances."""
    assert stack.config is not None
    content = yaml.safe_load(stack.config.read_text())
    content["config"]["modelstack:rollout"] = dict(rollout)
    content["config"]["modelstack:serving"] |= serving
    handle, name = tempfile.mkstemp(prefix="Pulumi.having.", suffix=".yaml", dir=stack.config.parent)
    with os.fdopen(handle, "w") as copy:
        yaml.safe_dump(content, copy)
    return replace(stack, config=Path(name))


def with_config(stack: Stack, **sections: Any) -> Stack:
    """The same stack with fields of its config changed."""
    assert stack.config is not None
    content = yaml.safe_load(stack.config.read_text())
    for name, fields in sections.items():
        content["config"].setdefault(f"modelstack:{name}", {}).update(fields)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", dir=stack.config.parent, delete=False) as copy:
        yaml.safe_dump(content, copy)
    return replace(stack, config=Path(copy.name))


def typed(*words: str) -> Result:
    """`modelstack WORDS`, as a person types it."""
    result = CliRunner().invoke(modelstack, list(words))
    keep(result.output)
    return result


def keep(said: str) -> None:
    """Keep what was printed in the story that goes on, for who looks for secrets in it."""
    with (Path(urlsplit(os.environ["PULUMI_BACKEND_URL"]).path) / "said.log").open("a") as file:
        file.write(said)


def journal(target: Target) -> RolloutState:
    """What the journal says."""
    return controller(target.endpoint, target.output("journal_table"), target.region).status().state


def advance(target: Target) -> None:
    """Run the advance function once more, as its schedule does each minute."""
    answer = target.client("lambda").invoke(FunctionName=f"{target.endpoint}-advance")
    assert "FunctionError" not in answer, answer["Payload"].read()


def package(story: Bed, digest: str) -> dict[str, Any]:
    """The model package of a package digest, as AWS describes it."""
    target = story.target()
    sagemaker = target.client("sagemaker")
    listed = sagemaker.list_model_packages(ModelPackageGroupName=target.output("package_group"))
    found = [
        sagemaker.describe_model_package(ModelPackageName=item["ModelPackageArn"])
        for item in listed["ModelPackageSummaryList"]
    ]
    return next(item for item in found if item["CustomerMetadataProperties"]["package_digest"] == digest)


def shares(seen: Snapshot) -> dict[str, float]:
    """Percent of traffic by role."""
    return {item.role: item.weight for item in seen.variants}


def succeeded(done: Done) -> Done:
    """The command; what it said, when it failed."""
    assert done.code == 0, done.output[-3000:]
    return done


def said(previewed: Done) -> str:
    """All diagnostics of a `preview --json`."""
    return " ".join(item["message"] for item in json.loads(succeeded(previewed).output).get("diagnostics", []))
