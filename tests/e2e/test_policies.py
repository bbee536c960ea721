"""The policy pack by the real engine: it runs by itself, passes the project's stack, and stops what is forbidden."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import threading

import pytest
import yaml
from rich.console import Console

from bench.bed import Bed
from cli.local.progress import follow
from cli.local.stack import Stack
from cli.target import ROOT
from tests.e2e.conftest import QUICK, TOKEN, having, succeeded, typed
from tests.test_comment import Forge

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

EXEMPT = "own-key is not asked of documents, journal until "


def test_the_pack_runs_by_itself_and_passes_the_first_preview(first: Stack) -> None:
    said = succeeded(first.preview()).output
    assert "modelstack@v0.1.0" in said
    assert "[advisory]  exemptions" in said and EXEMPT in said
    assert "[mandatory]" not in said


def test_a_stack_that_captures_nothing_is_refused_and_nothing_is_made(story: Bed, first: Stack) -> None:
    bad = having(first, QUICK, capture_percent=0)
    done = bad.pulumi("up", "--yes", "--stack", bad.name, *bad.options())
    assert done.code != 0
    assert "[mandatory]  captured" in done.output
    assert "data capture is off. Set modelstack:serving.capture_percent to 1 or more." in done.output
    listed = succeeded(story.stack.pulumi("stack", "export", "--stack", "local")).output
    assert not json.loads(listed)["deployment"].get("resources")


def test_an_update_passes_when_every_value_is_known_and_so_does_what_stands(first: Stack) -> None:
    judged = succeeded(first.pulumi("up", "--yes", "--skip-preview", "--stack", "local", *first.options())).output
    assert "modelstack@v0.1.0" in judged and "[mandatory]" not in judged
    done = succeeded(first.pulumi("policy", "analyze", "--stack", "local"))
    assert EXEMPT in done.output and "[mandatory]" not in done.output


def reported(stack: Stack) -> tuple[int, str]:
    """How `modelstack pr-report` ends, and the comment."""
    done = typed("--stack", "local", "pr-report", "--config-file", str(stack.config))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def step(workflow: str, job: str, name: str, stack: Stack, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the commands of a workflow's step, on stack `local` for the one that they name."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text())["jobs"]
    (found,) = [item for item in jobs[job]["steps"] if item.get("name") == name]
    commands = re.sub(rf"\b{job}\b", "local", found["run"])
    environment = {**os.environ, **stack.environment, "PULUMI_OPTION_CONFIG_FILE": str(stack.config), **more}
    asked = ["bash", "-e", "-o", "pipefail", "-c", commands]
    return subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_pull_request_that_changes_nothing_is_told_in_one_line(first: Stack) -> None:
    code, said = reported(first)
    assert code == 0, said
    marker, _, line = said.splitlines()
    assert marker == "<!-- modelstack pr-report local -->"
    assert line.startswith("**Nothing changes on stack `local`**: no resource, and the same model (recipe `")


def test_a_pull_request_that_a_policy_stops_is_told_with_its_model(story: Bed, first: Stack) -> None:
    changed = first.with_parameters(story.folder, max_iter=6)
    code, said = reported(having(changed, QUICK, capture_percent=0, instance_type="ml.m5.4xlarge"))
    assert code == 1, said
    assert re.match(r"<!-- .* -->\n\n❌ No: the preview fails: policy (captured|cost-ceiling): ", said), said
    for part in (
        "| **Preview** | ❌ fails with exit code 1: policy ",
        "| **Policies** | ❌ `captured`, `cost-ceiling` would stop an update |",
        "data capture is off.",
        "On the same 2,591 rows of 3 days, which neither has seen: `log_loss` **",
        "| `max_iter` | `5` | `6` |",
        "| **Data** | the same training set, feature by feature |",
    ):
        assert part in said, f"{part}\n{said}"
    assert re.search(r"\| latency p50 \| \d+\.\d\d ms \| \d+\.\d\d ms \|", said)


def test_the_workflow_of_a_pull_request_comments_on_it_and_trains_nothing_twice(story: Bed, first: Stack) -> None:
    changed = first.with_parameters(story.folder, max_iter=6)
    forge = Forge()
    threading.Thread(target=forge.serve_forever, daemon=True).start()
    place = {"GITHUB_API_URL": forge.url, "GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": TOKEN, "NUMBER": "12"}
    done = step("preview.yml", "dev", "Report", changed, **place)
    forge.shutdown()
    forge.server_close()
    assert done.returncode == 0, done.stdout + done.stderr
    (comment,) = forge.comments
    assert forge.asked == [("GET", "/repos/o/r/issues/12/comments"), ("POST", "/repos/o/r/issues/12/comments")]
    for part in ("✅ succeeds", "84 → 84 USD a month", "; nothing had to be trained."):
        assert part in comment["body"], comment["body"]
    assert re.search("nothing asked the champion|does not end within 15 min at today's traffic", comment["body"])


def test_the_workflow_of_a_merge_updates_with_the_policies_and_promotes_what_a_stack_takes(first: Stack) -> None:
    done = step("promote.yml", "dev", "Release", first)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "modelstack@v0.1.0" in done.stdout and "unchanged" in done.stdout
    for job in ("staging", "prod"):
        done = step("promote.yml", job, "Release", first)
        assert done.returncode == 2 and "stack local takes its releases from no other" in done.stderr


def test_make_up_says_which_policy_stops_it(story: Bed, first: Stack) -> None:
    bad = having(first, QUICK, capture_percent=0)
    words = ("up", "--yes", "--skip-preview", "--stack", "local", *bad.options())
    outcome = follow(Console(file=io.StringIO()), bad, *words, log=story.folder / "up.log")
    assert outcome.code != 0
    (said,) = [text for text in outcome.errors if text.startswith("policy ")]
    assert re.fullmatch(
        r"policy captured: Requests and answers of each variant are captured.\n"
        r"solo-\w+: data capture is off. Set modelstack:serving.capture_percent to 1 or more.",
        said,
    )
