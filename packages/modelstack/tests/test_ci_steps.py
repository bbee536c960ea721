"""Every command of every workflow runs, in its order: those of GitHub and of GitLab, with what they call put aside."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT
from .test_comment import MARKER, Forge

GITLAB = yaml.safe_load((ROOT / ".ci" / "gitlab-ci.yml").read_text())
TOLD = ("AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "PULUMI_OPTION_POLICY_PACK", "PYTHONPATH")
STAND_IN = f"""#!/usr/bin/env python3
import json, os, sys
told = {{name: os.environ[name] for name in {TOLD!r} if name in os.environ}}
with open(os.environ["CALLS"], "a") as file:
    print(json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:], told]), file=file)
if "--out" in sys.argv:
    open(sys.argv[sys.argv.index("--out") + 1], "w").write("{MARKER}\\n\\nWhat changes")
"""
SET_UP = "python -m localcloud.setup install --packages-only"
REPORT, UPDATE = "modelstack --stack dev pr-report --out FILE", "pulumi up --yes --non-interactive --stack dev"
WAITING = "modelstack --stack dev retrain waiting"


@dataclass(frozen=True)
class Runner:
    """A machine of a forge: a checkout with its scripts, and stand-ins for what they call."""

    folder: Path
    forge: Forge

    def run(self, lines: list[str], **given: str) -> None:
        """Run lines in one shell, as a runner does; each must succeed."""
        usual = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "CALLS": str(self.folder / "calls"),
            "HOME": str(self.folder),
        }
        asked = ["bash", "-e", "-o", "pipefail", "-c", "\n".join(lines)]
        done = subprocess.run(
            asked, cwd=self.folder / "checkout", env={**usual, **given}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def calls(self) -> list[tuple[str, dict[str, str]]]:
        """What was called, and what it was told by its environment."""
        made = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        return [(re.sub(r"--out \S+", "--out FILE", " ".join([name, *words])), told) for name, words, told in made]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    checkout, programs = tmp_path / "checkout", tmp_path / "bin"
    shutil.copytree(ROOT / ".ci", checkout / ".ci")
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "activate").touch()
    programs.mkdir()
    for name in ("python", "modelstack", "pulumi"):
        (programs / name).write_text(STAND_IN)
        (programs / name).chmod(0o755)
    forge = Forge()
    threading.Thread(target=forge.serve_forever, daemon=True).start()
    yield Runner(tmp_path, forge)
    forge.shutdown()
    forge.server_close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "role", "called"),
    [
        ("preview", "preview-role", REPORT),
        ("dev", "deploy-role", UPDATE),
        ("staging", "staging-role", "modelstack promote staging --yes"),
        ("prod", "deploy-role", "modelstack promote prod --yes"),
    ],
)
def test_each_line_of_gitlabs_jobs_runs_with_the_jobs_role(runner: Runner, job: str, role: str, called: str) -> None:
    base, own = GITLAB[GITLAB[job]["extends"]], GITLAB[job]
    given = {"CI_PROJECT_DIR": str(runner.folder / "checkout"), "CI_JOB_ID": "7", "CI_MERGE_REQUEST_IID": "12"}
    given |= {"CI_API_V4_URL": runner.forge.url, "CI_PROJECT_ID": "3", "GITLAB_TOKEN": "t", "AWS_TOKEN": "of-oidc"}
    roles = {f"AWS_{role.upper()}_ROLE": f"{role}-role" for role in ("preview", "deploy", "staging")}
    given |= {**roles, "AWS_REGION": "eu-west-1"}
    for name, value in {**base["variables"], **own.get("variables", {})}.items():
        given[name] = re.sub(r"\$(\w+)", lambda found: given[found[1]], value)
    runner.run([*base["before_script"], *own["script"]], **given)
    (set_up, _), (last, told) = runner.calls()
    assert (set_up, last) == (SET_UP, called)
    assert (told["AWS_ROLE_ARN"], told["AWS_ROLE_SESSION_NAME"]) == (role, "ci-7")
    token = runner.folder / "checkout.token"
    assert (token.read_text(), stat.S_IMODE(token.stat().st_mode)) == ("of-oidc", 0o600)
    notes = [one["body"] for one in runner.forge.comments]
    assert notes == ([f"{MARKER}\n\nWhat changes"] if job == "preview" else [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workflow", "job", "called"),
    [
        ("preview.yml", "dev", [REPORT]),
        ("promote.yml", "dev", [UPDATE]),
        ("promote.yml", "staging", ["modelstack promote staging --yes"]),
        ("promote.yml", "prod", ["modelstack promote prod --yes"]),
        ("retrain.yml", "dev", ["modelstack --version", WAITING, "pulumi up --yes --stack dev --policy-pack policy"]),
    ],
)
def test_each_command_of_githubs_jobs_runs(runner: Runner, workflow: str, job: str, called: list[str]) -> None:
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text())["jobs"][job]
    output = runner.folder / "output"
    given = {"GITHUB_OUTPUT": str(output), "GITHUB_API_URL": runner.forge.url, "GITHUB_REPOSITORY": "o/r"}
    given |= {"GITHUB_TOKEN": "t", "NUMBER": "12", **found.get("env", {})}
    for step in found["steps"]:
        if "run" in step:
            runner.run([step["run"]], **given)
    (set_up, told), *more = runner.calls()
    assert (set_up, told["PYTHONPATH"]) == (SET_UP, "packages/localcloud/src")
    assert [words for words, _ in more] == called
    packs = [told.get("PULUMI_OPTION_POLICY_PACK") for words, told in more if words == UPDATE]
    assert packs == ["policy"] * len(packs)
    assert len(runner.forge.comments) == (workflow == "preview.yml")
