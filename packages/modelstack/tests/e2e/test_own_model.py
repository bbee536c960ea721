"""A model of one's own: `docs/how-to/own-model.md` as a person follows it, in a checkout with another `model/`.

By the real engine on a real local cloud: each test goes on where the one before ended.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.bed import Bed, bed, import_path
from localcloud.setup import POLICY_PACK
from tests.e2e.conftest import PACKAGES, QUICK, RATE
from tests.e2e.test_monitoring_story import seen as values
from tests.process import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

FOLDERS = (*PACKAGES, "demos", "docs", "requirements", "stacks", "packages/modelstack/tests/e2e/wine")
FILES = ("Pulumi.yaml", "localcloud.toml", "pyproject.toml")
PAGE = (ROOT / "docs" / "how-to" / "own-model.md").read_text()
INIT, REPLACE, TRY, RELEASE, TRAFFIC, AGAIN = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
FIRST, SECOND = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@dataclass(frozen=True)
class Checkout:
    """A copy of this checkout, to type commands in."""

    root: Path
    environment: Mapping[str, str]

    def start(self, commands: str) -> subprocess.Popen[str]:
        """Run lines of shell; the first that fails ends them."""
        return subprocess.Popen(
            ["sh", "-ec", commands],
            cwd=self.root,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def type(self, commands: str, status: int = 0) -> str:
        """The same, to its end; what it printed."""
        process = self.start(commands)
        said, _ = process.communicate()
        assert process.returncode == status, said[-4000:]
        assert "Traceback" not in said
        return said

    def configure(self, snippet: str) -> None:
        """Put a section of the page into the stack's file, and a trial of one short step."""
        path = self.root / "stacks" / "Pulumi.local.yaml"
        content = yaml.safe_load(path.read_text())
        content["config"] |= yaml.safe_load(snippet)
        content["config"]["modelstack:rollout"] = QUICK
        path.write_text(yaml.safe_dump(content))

    def status(self) -> dict[str, Any]:
        """`modelstack status`."""
        return json.loads(self.type("modelstack status --json"))


def copied(root: Path) -> Checkout:
    """A copy of this checkout."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, root)
    (root / ".venv").symlink_to(ROOT / ".venv")
    path = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return Checkout(root, {"PYTHONPATH": import_path(root), "PATH": path})


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose model is replaced, as the page says."""
    made = copied(tmp_path_factory.mktemp("own") / "checkout")
    assert made.type(REPLACE).startswith("required\n")
    made.configure(FIRST)
    return made


@pytest.fixture(scope="module")
def story(checkout: Checkout) -> Iterator[tuple[Bed, Checkout]]:
    """An empty local cloud and stack of that checkout."""
    with bed(checkout.root) as made:
        # test_release_story.py is about policies.
        environment = {**made.environment, "PYTHONPATH": import_path(checkout.root), POLICY_PACK: ""}
        yield made, Checkout(checkout.root, environment)


def test_the_page_says_what_a_broken_contract_looks_like(story: tuple[Bed, Checkout]) -> None:
    _, checkout = story
    training = checkout.root / "model" / "training.py"
    whole = training.read_text()
    training.write_text(whole.replace("def train(", "def fit("))
    said = checkout.type("pulumi preview --stack local", status=1)
    training.write_text(whole)
    (told,) = re.findall(r"nothing was changed: .*\n.*", PAGE)
    assert told.split("\n")[0] in said
    assert told.split("\n")[1].strip() in said


def test_the_page_shows_what_trying_it_prints(checkout: Checkout, tmp_path: Path) -> None:
    elsewhere = {"XDG_CACHE_HOME": str(tmp_path), "OPENBLAS_CORETYPE": "Nehalem"}  # nothing is built there yet
    new = Checkout(checkout.root, {**checkout.environment, **elsewhere})
    said = re.sub(r"(/\S+/)?([0-9a-f]{4})[0-9a-f]{60}", _shortened, new.type(TRY))
    assert f"```\n{said}```" in PAGE
    more = """ --parameters '{"strength": 0.001}' --gates '{"accuracy": {"min": 0.9}}'"""
    refused = new.type(TRY.strip() + more, 1)
    assert f"```\n{refused[refused.index('the model is below') :]}```" in PAGE


def _shortened(digest: re.Match[str]) -> str:
    """A digest as the page has it, and a path without its folders."""
    return f"{'.../' if digest[1] else ''}{digest[2]}..."


def test_its_first_release_serves_answers_and_takes_requests_with_labels(story: tuple[Bed, Checkout]) -> None:
    made, checkout = story
    said = checkout.type(RELEASE)
    assert "200: 150" in said
    assert '"prediction":"class_0"' in said
    assert "150 labels sent" in said
    seen = checkout.status()
    assert seen["endpoint"] == "wine-local"
    (variant,) = seen["variants"]
    end = time.monotonic() + 400
    while values(made.target(), variant["name"], "LogLoss")[0] < 150:
        assert time.monotonic() < end, "the labels of three classes were not joined"
        time.sleep(1)
    count, right = values(made.target(), variant["name"], "Accuracy")
    assert count == 150
    assert right / count > 0.9


def test_another_version_goes_on_trial_and_is_promoted(story: tuple[Bed, Checkout]) -> None:
    _, checkout = story
    before = checkout.status()["champion"]
    checkout.configure(SECOND)
    replay = checkout.start(TRAFFIC.replace("--rate 80", f"--rate {RATE}"))  # enough for this trial
    try:
        said = checkout.type(AGAIN)
    finally:
        os.killpg(replay.pid, signal.SIGINT)
        told, _ = replay.communicate()
    assert "gets 50%" in said
    assert "promoted" in said
    assert "200: " in told, "requests were answered all the while"
    after = checkout.status()
    assert after["champion"] != before
    assert after["verdict"]["outcome"] == "promoted"


def test_the_page_goes_from_a_fitted_estimator_to_a_package(tmp_path: Path) -> None:
    checkout = copied(tmp_path / "checkout")
    (script,) = re.findall(r"```python\n(import joblib\n.*?)```", PAGE, re.DOTALL)
    (checkout.root / "fit.py").write_text(script)
    said = checkout.type(f"python fit.py\n{INIT}")
    (path,) = re.findall("modelstack serve (\\S+)", said)[:1]
    section = yaml.safe_load(said.partition("by this one:\n\n")[2].partition("\nthen type:")[0])
    (model,) = section.values()
    assert (model["name"], model["gates"].keys()) == ("wine", {"accuracy", "log_loss"})
    assert sum(int(lines) for lines in re.findall(r"\((\d+) lines\)", said)) in range(70, 90), "as the page says"
    gates = json.dumps(model["gates"])
    told, _, built = checkout.type(f"python -m modelstack.pipeline build --gates '{gates}'").partition("{")
    assert json.loads("{" + built)["path"] == path
    assert "train" not in told and "seal:" not in told, "what was tried is what was written: nothing is built again"


def test_the_demo_says_what_the_model_does_not_give_it(story: tuple[Bed, Checkout]) -> None:
    _, checkout = story
    said = checkout.type("python -m demos.release", status=2)
    assert "model/parameters.py has no FAULTY" in said
    assert "docs/how-to/own-model.md" in said
