"""What runs on pull requests may do no more than it has to, and uses what developers use."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from localcloud.setup import ENGINE_VERSION
from modelstack.program.providers.driving import ENDING_SECONDS

from .conftest import ROOT

WORKFLOWS = ROOT / ".github" / "workflows"
STACKS = ("dev", "staging", "prod")


def workflow(name: str) -> dict[Any, Any]:
    """A workflow's content."""
    return yaml.safe_load((WORKFLOWS / name).read_text())


def role_of(job: dict[str, Any]) -> str:
    """The role that a job assumes, its own or that of its environment."""
    role = steps_by_action(job)["aws-actions/configure-aws-credentials"]["with"]["role-to-assume"]
    return job["env"]["ROLE"] if role == "${{ env.ROLE }}" else role


def steps_by_action(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A job's steps that use an action, by the action's name."""
    return {step["uses"].partition("@")[0]: step for step in job["steps"] if "uses" in step}


def test_a_pull_request_is_previewed_on_dev_and_commented() -> None:
    preview = workflow("preview.yml")
    (report,) = [step for step in preview["jobs"]["dev"]["steps"] if step.get("name") == "Report"]

    assert set(preview[True]) == {"pull_request"}  # `on` is a boolean in YAML 1.1; never pull_request_target
    assert '.ci/pull-request dev github "$NUMBER"' in report["run"]
    assert "AWS_ENDPOINT_URL" not in str(preview)


def test_what_runs_on_a_real_stack_runs_the_policy_pack() -> None:
    assert "export PULUMI_OPTION_POLICY_PACK=${PULUMI_OPTION_POLICY_PACK:-policy}" in (ROOT / ".ci/release").read_text()
    updates = [
        line.strip()
        for path in WORKFLOWS.glob("*.yml")
        for job in workflow(path.name)["jobs"].values()
        for step in job["steps"]
        for line in step.get("run", "").splitlines()
        if re.search(r"pulumi (up|preview)", line)
    ]
    assert updates and all("--policy-pack policy" in line for line in updates), updates


def test_a_preview_logs_in_by_oidc_without_any_stored_aws_key() -> None:
    preview = workflow("preview.yml")
    login = steps_by_action(preview["jobs"]["dev"])["aws-actions/configure-aws-credentials"]["with"]

    assert login["role-to-assume"].startswith("${{ vars.")
    assert not any("secret" in key or "access-key" in key for key in login)


def test_a_preview_may_comment_and_assume_a_role_and_nothing_more() -> None:
    preview = workflow("preview.yml")

    assert preview["permissions"] == {"contents": "read"}
    assert preview["jobs"]["dev"]["permissions"] == {
        "contents": "read",
        "id-token": "write",
        "pull-requests": "write",
    }


def test_a_forks_pull_request_does_not_get_the_role() -> None:
    condition = workflow("preview.yml")["jobs"]["dev"]["if"]

    assert condition == "github.event.pull_request.head.repo.full_name == github.repository"


def test_a_preview_runs_in_the_environment_of_the_locks() -> None:
    commands = [step.get("run", "") for step in workflow("preview.yml")["jobs"]["dev"]["steps"]]

    assert any("localcloud.setup install --packages-only" in command for command in commands)


def test_a_retrained_version_is_released_only_where_one_waits_and_by_the_same_login() -> None:
    job = workflow("retrain.yml")["jobs"]["dev"]
    login = steps_by_action(job)["aws-actions/configure-aws-credentials"]["with"]
    (up,) = [step for step in job["steps"] if "pulumi up" in step.get("run", "")]

    assert login["role-to-assume"].startswith("${{ vars.")
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert up["if"] == "steps.candidate.outputs.waits == 'true'"
    assert any("modelstack --stack dev retrain waiting" in step.get("run", "") for step in job["steps"])


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.stem)
def test_actions_are_pinned_by_what_they_are_and_not_by_a_tag_that_moves(path: Path) -> None:
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+(;.*)?", action), action


def test_every_pipeline_runs_the_pulumi_that_the_local_engine_is_built_from() -> None:
    jobs = [job for path in WORKFLOWS.glob("*.yml") for job in workflow(path.name)["jobs"].values()]
    installed = [steps_by_action(job)["pulumi/actions"] for job in jobs if "pulumi/actions" in str(job)]
    assert len(installed) >= 5 and all(step["with"] == {"pulumi-version": ENGINE_VERSION} for step in installed), (
        installed
    )
    assert f"the Pulumi CLI {ENGINE_VERSION};" in (ROOT / ".ci/gitlab-ci.yml").read_text()


@pytest.mark.parametrize(
    ("name", "job"), [("retrain.yml", "dev"), ("preview.yml", "dev"), *(("promote.yml", stack) for stack in STACKS)]
)
def test_credentials_live_as_long_as_the_job_that_uses_them(name: str, job: str) -> None:
    job = workflow(name)["jobs"][job]
    login = steps_by_action(job)["aws-actions/configure-aws-credentials"]["with"]
    assert int(login.get("role-duration-seconds", 3600)) > 60 * job["timeout-minutes"]


def test_a_job_lasts_as_long_as_an_update_may_wait_for_a_verdict() -> None:
    assert yaml.safe_load((ROOT / ".ci" / "gitlab-ci.yml").read_text())[".with-role"]["timeout"] == "4h"
    for name, stack in (("retrain.yml", "dev"), ("promote.yml", "dev"), ("promote.yml", "staging")):
        rollout = yaml.safe_load((ROOT / f"stacks/Pulumi.{stack}.yaml").read_text())["config"]["modelstack:rollout"]
        waits = 2 * rollout["max_minutes"] + ENDING_SECONDS / 60
        assert rollout["wait"] and workflow(name)["jobs"][stack]["timeout-minutes"] > waits + 30, "and trains before"


def test_dev_and_staging_have_roles_of_their_own() -> None:
    jobs = workflow("promote.yml")["jobs"]
    roles = {stack: role_of(jobs[stack]) for stack in ("dev", "staging")}
    assert roles == {"dev": "${{ vars.AWS_DEPLOY_ROLE }}", "staging": "${{ vars.AWS_STAGING_ROLE }}"}
    assert all(roles[stack].strip("${ }") in jobs[stack]["if"] for stack in roles), "or nothing happens"


@pytest.mark.parametrize(("code", "ends", "waits"), [(0, 0, True), (1, 0, False), (3, 3, False), (2, 2, False)])
def test_a_failure_to_look_is_not_taken_for_nothing_waits(code: int, ends: int, waits: bool, tmp_path: Path) -> None:
    (step,) = [step for step in workflow("retrain.yml")["jobs"]["dev"]["steps"] if step.get("id") == "candidate"]
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").write_text(f"modelstack() {{ [ $1 = --version ] || return {code}; }}\n")
    output = tmp_path / "output"
    output.touch()
    environment = {"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(output)}
    done = subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, output.read_text() == "waits=true\n") == (ends, waits)


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.stem)
def test_no_workflow_gives_a_fork_anything(path: Path) -> None:
    """What a fork's pull request can start has no secret, no role and no right to write, or does not start."""
    content = workflow(path.name)
    assert content["permissions"] == {"contents": "read"}
    on = content[True]
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(on)
    for job in content["jobs"].values():
        rights = job.get("permissions", {})
        assert rights.keys() <= {"contents", "id-token", "pull-requests"} and rights.get("contents", "read") == "read"
        given = "secrets." in str(job) or "write" in rights.values()
        if "pull_request" in on and given:
            assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.stem)
def test_no_command_has_a_text_of_the_event_pasted_into_it(path: Path) -> None:
    """A branch or a title may hold commands: what a step takes of the event comes through its environment."""
    for job in workflow(path.name)["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), step


def test_a_merge_is_released_on_dev_then_promoted_and_prod_waits_for_a_person_and_a_reviewer() -> None:
    content = workflow("promote.yml")
    jobs = content["jobs"]
    assert content[True] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    assert tuple(jobs) == STACKS
    assert jobs["staging"]["needs"] == "dev"
    assert (jobs["prod"]["environment"], "needs" in jobs["prod"]) == ("prod", False)
    assert jobs["prod"]["if"] == "github.event_name == 'workflow_dispatch' && github.ref == 'refs/heads/main'"
    for stack, word in zip(STACKS, ("update", "promote", "promote"), strict=True):
        assert jobs[stack]["env"]["RELEASE"] == f".ci/release {word} {stack}"
        assert jobs[stack]["steps"][-1]["run"].endswith("&& $RELEASE")
        assert jobs[stack]["concurrency"] == {"group": f"deploy-{stack}"}, "as a retraining: one update at a time"
    assert workflow("retrain.yml")["concurrency"] == {"group": "deploy-dev"}


def test_gitlab_runs_the_same_scripts_on_the_same_stacks() -> None:
    jobs = yaml.safe_load((ROOT / ".ci" / "gitlab-ci.yml").read_text())
    ran = {name: job["script"][-1] for name, job in jobs.items() if isinstance(job, dict) and "script" in job}
    assert ran == {
        "preview": '.ci/pull-request dev gitlab "$CI_MERGE_REQUEST_IID"',
        "dev": ".ci/release update dev",
        "staging": ".ci/release promote staging",
        "prod": ".ci/release promote prod",
    }
    assert "CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_MERGE_REQUEST_PROJECT_ID" in jobs["preview"]["rules"][0]["if"]
    assert (jobs["prod"]["environment"], jobs["prod"]["rules"][0]["when"]) == ("prod", "manual")


@pytest.mark.parametrize("script", ["run", "pull-request", "release"])
def test_scripts_can_be_run_and_are_bash(script: str) -> None:
    path = ROOT / ".ci" / script
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_an_unknown_word_changes_nothing() -> None:
    done = subprocess.run([ROOT / ".ci" / "release", "destroy", "prod"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "destroy is neither update nor promote\n")


def test_ci_runs_the_script_that_anybody_can_run() -> None:
    ci = workflow("ci.yml")

    assert ci["permissions"] == {"contents": "read"}
    assert {"run": 'sudo -E env "PATH=$PATH" .ci/run'} in ci["jobs"]["all"]["steps"], "a cluster takes root"


def test_pre_commit_runs_only_what_is_in_the_repository() -> None:
    configured = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())

    assert [repo["repo"] for repo in configured["repos"]] == ["local"]


def test_locks_hold_hashes_and_no_address() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))

    assert len(locks) >= 6
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text, lock
        entries = [line for line in text.splitlines() if line and line[0] not in " #"]
        assert entries and all(line.endswith("\\") for line in entries), lock


def test_the_smaller_locks_take_the_larger_ones_versions() -> None:
    def versions(name: str) -> dict[str, str]:
        lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
        return dict(line.split()[0].split("==") for line in lines if "==" in line and line[0] not in " #")

    assert versions("app").items() <= versions("dev").items()
    assert versions("serving").items() <= versions("training").items() <= versions("app").items()
