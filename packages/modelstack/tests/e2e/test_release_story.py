"""The life of a stack under its policies: what a pull request and a merge say of it, a good and a faulty release.

By the real engine on a real local cloud: each test goes on where the one before ended.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import threading
import time
from dataclasses import replace
from typing import Any
from urllib.request import urlopen

import httpx
import pytest
import yaml
from rich.console import Console

from bench.bed import Bed
from modelstack.cli.console.pages import Pages
from modelstack.cli.console.serve import ConsoleServer
from modelstack.cli.local.progress import follow
from modelstack.cli.local.stack import Stack
from modelstack.cli.replay import Report
from modelstack.cli.view.snapshot import take
from tests.e2e.acting import as_role
from tests.e2e.conftest import QUICK, TOKEN, advance, having, package, said, shares, succeeded, typed, unpreviewed
from tests.needed import used
from tests.process import ROOT
from tests.program.recorded import LOCAL
from tests.small import SMALL
from tests.test_comment import Forge

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

OUTPUTS = {
    "endpoint_name",
    "region",
    "package_group",
    "package_digest",
    "champion",
    "challenger",
    "artifact_bucket",
    "dashboard_url",
    "rollback_function",
}


TRIAL: dict[str, Any] = {
    **QUICK,
    "strategy": {"kind": "steps", "steps": [{"weight": weight, "bake_seconds": 5} for weight in (30, 60)]},
}
EXEMPT = "own-key is not asked of documents, journal until "


@pytest.fixture(scope="module")
def versions(story: Bed) -> dict[str, Stack]:
    """Three versions of the model, small so that training is quick: a first, a good and a faulty one.

    They are released with the rights of the role that CI takes.
    """
    first = having(as_role(story.stack, "deploy").with_parameters(story.folder, **SMALL), TRIAL)
    good = first.with_parameters(story.folder, max_iter=6)
    faulty = good.with_parameters(story.folder, max_iter=7, fault="errors")
    left_to_its_alarm(faulty)
    return {"first": first, "good": good, "faulty": faulty}


def left_to_its_alarm(stack: Stack) -> None:
    """Let the judge look at latency alone, and not soon: on a busy machine it would else be first at times."""
    assert stack.config is not None
    content = yaml.safe_load(stack.config.read_text())
    rollout = content["config"]["modelstack:rollout"]
    rollout["strategy"] = {"kind": "steps", "steps": [{"weight": 50, "bake_seconds": 600}]}
    rollout["judge"]["metrics"] = {"latency_p99": {"margin": 2, "prove": True}}
    stack.config.write_text(yaml.safe_dump(content))


def reported(stack: Stack) -> tuple[int, str]:
    """How `modelstack pr-report` ends, and the comment."""
    done = typed("--stack", "local", "pr-report", "--config-file", str(stack.config))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def step(workflow: str, job: str, name: str, stack: Stack, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the commands of a workflow's step, on stack `local` for the one that they name."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text())["jobs"]
    (found,) = [item for item in jobs[job]["steps"] if item.get("name") == name]
    commands, release = (
        re.sub(rf"\b{job}\b", "local", text) for text in (found["run"], jobs[job].get("env", {}).get("RELEASE", ""))
    )
    given = {"RELEASE": release, "PULUMI_OPTION_CONFIG_FILE": str(stack.config)}
    environment = {**os.environ, **stack.environment, **given, **more}
    asked = ["bash", "-e", "-o", "pipefail", "-c", commands]
    return subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_pack_runs_by_itself_and_passes_the_first_preview(versions: dict[str, Stack]) -> None:
    said = succeeded(versions["first"].preview()).output
    assert "modelstack@v0.1.0" in said
    assert "[advisory]  exemptions" in said and EXEMPT in said
    assert "[mandatory]" not in said


def test_make_up_says_which_policy_stops_it_and_nothing_is_made(story: Bed, versions: dict[str, Stack]) -> None:
    bad = having(versions["first"], TRIAL, capture_percent=0)
    words = ("up", "--yes", "--stack", "local", *bad.options())
    outcome = follow(Console(file=io.StringIO()), bad, *words, log=story.folder / "up.log")
    assert outcome.code != 0
    (said,) = [text for text in outcome.errors if text.startswith("policy ")]
    assert re.fullmatch(
        r"policy captured: Requests and answers of each variant are captured.\n"
        r"\S+: data capture is off. Set modelstack:serving.capture_percent to 1 or more.",
        said,
    )
    listed = succeeded(story.stack.pulumi("stack", "export", "--stack", "local")).output
    assert not json.loads(listed)["deployment"].get("resources")


def test_the_first_update_passes_its_policies_trains_registers_and_serves(
    story: Bed, versions: dict[str, Stack]
) -> None:
    first = versions["first"]
    judged = succeeded(first.pulumi("up", "--yes", "--skip-preview", "--stack", "local", *first.options())).output
    assert "modelstack@v0.1.0" in judged and "[mandatory]" not in judged
    done = succeeded(first.pulumi("policy", "analyze", "--stack", "local"))
    assert EXEMPT in done.output and "[mandatory]" not in done.output, "nor what stands"
    outputs = story.stack.outputs()
    assert set(outputs) >= OUTPUTS
    assert outputs["champion"] == outputs["package_digest"]
    assert outputs["challenger"] is None
    with urlopen(outputs["dashboard_url"]) as answer:
        assert json.load(answer)["widgets"]
    seen = take(story.target())
    assert (seen.status, shares(seen)) == ("InService", {"champion": 100.0})
    assert package(story, outputs["champion"])["ModelApprovalStatus"] == "Approved"


def test_the_endpoint_answers_the_example_request(story: Bed) -> None:
    answer = (
        story.target()
        .client("sagemaker-runtime")
        .invoke_endpoint(
            EndpointName=story.target().endpoint,
            ContentType="application/json",
            Body=(ROOT / "model" / "example_request.json").read_bytes(),
        )
    )
    predictions = json.loads(answer["Body"].read())["predictions"]
    assert all(0 <= item["probability"] <= 1 for item in predictions)


def test_a_pull_request_that_changes_nothing_is_told_in_one_line(story: Bed, versions: dict[str, Stack]) -> None:
    code, said = reported(versions["first"])
    assert code == 0, said
    assert len(said.splitlines()) == 3, said
    marker, _, line = said.splitlines()
    assert marker == "<!-- modelstack pr-report local -->"
    assert line.startswith("**Nothing changes on stack `local`**: no resource, and the same model (recipe `")
    succeeded(story.stack.pulumi("refresh", "--yes", "--expect-no-changes", "--stack", "local"))


def test_a_pull_request_that_a_policy_stops_is_told_with_its_model(versions: dict[str, Stack]) -> None:
    code, said = reported(having(versions["good"], TRIAL, capture_percent=0, instance_type="ml.m5.4xlarge"))
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


def test_the_workflow_of_a_pull_request_comments_on_it_and_trains_nothing_twice(
    story: Bed, versions: dict[str, Stack]
) -> None:
    forge = Forge()
    threading.Thread(target=forge.serve_forever, daemon=True).start()
    place = {"GITHUB_API_URL": forge.url, "GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": TOKEN, "NUMBER": "12"}
    done = step("preview.yml", "dev", "Report", replace(versions["good"], environment=story.environment), **place)
    forge.shutdown()
    forge.server_close()
    assert done.returncode == 0, done.stdout + done.stderr
    (comment,) = forge.comments
    assert forge.asked == [("GET", "/repos/o/r/issues/12/comments"), ("POST", "/repos/o/r/issues/12/comments")]
    for part in ("✅ succeeds", "84 → 84 USD a month", "; nothing had to be trained."):
        assert part in comment["body"], comment["body"]
    assert re.search("nothing asked the champion|does not end within 15 min at today's traffic", comment["body"])


def test_the_workflow_of_a_merge_updates_with_the_policies_and_promotes_what_a_stack_takes(
    versions: dict[str, Stack],
) -> None:
    done = step("promote.yml", "dev", "Release", versions["first"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "modelstack@v0.1.0" in done.stdout and "unchanged" in done.stdout
    for job in ("staging", "prod"):
        done = step("promote.yml", job, "Release", versions["first"])
        assert done.returncode == 2 and "stack local takes its releases from no other" in done.stderr


def test_a_good_release_takes_over_in_steps_and_loses_no_request(
    story: Bed, versions: dict[str, Stack], traffic: Report
) -> None:
    before = story.stack.outputs()["champion"]
    done = succeeded(versions["good"].up())
    outputs = story.stack.outputs()
    assert outputs["champion"] == outputs["package_digest"] != before
    assert "gets 30%" in done.output
    assert "not worse" in done.output
    assert package(story, outputs["champion"])["ModelApprovalStatus"] == "Approved"
    assert shares(take(story.target())) == {"champion": 100.0}
    assert traffic.failures == []


def test_status_tells_how_each_variant_answered(story: Bed) -> None:
    (row,) = json.loads(typed("status", "--json").stdout)["served"]
    assert row["variant"] == next(item.name for item in take(story.target()).variants)
    assert row["requests"] > 0 == row["failed"] == row["refused"]
    assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p90"] <= row["latency_ms"]["p99"]


def test_the_console_shows_the_stack_with_live_data(story: Bed) -> None:
    with (
        ConsoleServer(Pages(story.target()), 0).background() as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        found = {path: client.get(path) for path in ("/", "/rollout", "/alarms", "/registry", "/compare")}
    assert [answer.status_code for answer in found.values()] == [200] * 5
    assert not [path for path, answer in found.items() if 'class="problem"' in answer.text]
    of_champion = r"<h2>Requests</h2>.*?champion <code>v-\w+</code>.*?data-curve=\"0\">\d"
    assert re.search(of_champion, found["/"].text, re.DOTALL), "a curve for each variant"
    assert "Last verdict: promoted" in found["/rollout"].text
    for figure in ("weights", "evidence-errors"):
        assert f'id="chart-{figure}"' in found["/rollout"].text, "of the trial that ended"
    assert re.search(r"latency p99, ms</th><td[^>]*><code>[\d.,]+</code>", found["/compare"].text)
    assert f"{story.target().endpoint}-rollback-failing" in found["/alarms"].text
    assert re.search(r">champion</td>\s*<td[^>]*><span class=.pill ok.>Approved", found["/registry"].text)


def test_a_faulty_release_is_rolled_back_by_its_alarm_and_the_update_says_so(
    story: Bed, versions: dict[str, Stack], traffic: Report
) -> None:
    before = story.stack.outputs()["champion"]
    done = unpreviewed(versions["faulty"]).up()
    assert done.code != 0
    assert "Traceback" not in done.output
    assert "rolled back" in done.error
    seen = take(story.target())
    assert (seen.champion_package, seen.challenger, shares(seen)) == (before, None, {"champion": 100.0})
    assert seen.verdict is not None
    assert (seen.verdict["outcome"], seen.verdict["source"]) == ("rolled_back", "alarm")
    assert seen.verdict["name"] in done.error
    assert seen.verdict["name"].endswith("-5xx")
    outputs = story.stack.outputs()
    assert (outputs["champion"], outputs["challenger"]) == (before, None)
    assert outputs["package_digest"] == before
    assert package(story, seen.verdict["package_digest"])["ModelApprovalStatus"] == "Rejected"
    assert {failure.answer for failure in traffic.failures} == {"500"}


def test_the_next_preview_tells_the_verdict_and_deletes_nothing_that_serves(
    story: Bed, versions: dict[str, Stack]
) -> None:
    done = succeeded(as_role(versions["faulty"], "preview").preview("--json"))
    assert "rolled back" in said(done)
    assert "is not tried again" in said(done)
    deleted = [step["urn"] for step in json.loads(done.output)["steps"] if step["op"] == "delete"]
    target = story.target()
    live = target.client("sagemaker").describe_endpoint(EndpointName=target.endpoint)["EndpointConfigName"]
    outputs = story.stack.pulumi("stack", "export", "--stack", "local").output
    urns = {item["urn"] for item in json.loads(outputs)["deployment"]["resources"] if item.get("id") == live}
    assert urns
    assert not urns & set(deleted)
    previewed = {right[1:] for right in used(story.cloud, LOCAL) if right.role == "preview"}
    assert previewed == {
        ("dynamodb:GetItem", "table/STACK-rollouts"),
        ("sagemaker:DescribeEndpoint", "endpoint/STACK"),
    }, "what serves is compared with the journal"


def test_the_audit_record_tells_all_of_it_and_shows_what_was_tampered_with(
    story: Bed, versions: dict[str, Stack]
) -> None:
    """The advance function puts the record away, with the rights of its role."""
    target = story.target()
    end = time.monotonic() + 400
    while (seen := json.loads(typed("audit", "verify", "--json").stdout))["waiting"] and time.monotonic() < end:
        advance(target)
    assert (seen["ok"], seen["waiting"]) == (True, 0), seen["text"]
    records = [json.loads(line)["record"] for line in typed("audit", "export").stdout.splitlines()]
    assert len(records) == seen["records"]
    kinds = [record["kind"] for record in records]
    assert kinds == ["release", "promotion", *["release", "decision", "promotion"], *["release", "decision", "verdict"]]
    by = {record["kind"]: record["who"] for record in records}
    assert by["release"].endswith(":assumed-role/deploy/ci")
    assert by["verdict"].startswith("function flight-delay-local-") or by["verdict"] == by["release"]
    assert records[-1]["what"]["reason"]["source"] == "alarm"
    s3, there = target.client("s3"), {"Bucket": target.output("artifact_bucket"), "Key": "audit/0000000003.json"}
    line = s3.get_object(**there)["Body"].read()
    s3.put_object(
        **there, Body=line.replace(b"preparing", b"prepared!")
    )  # as root, whom the local cloud refuses nothing
    found = typed("audit", "verify")
    assert (found.exit_code, "record 3 was changed" in found.stdout) == (1, True)
    s3.put_object(**there, Body=line)
    assert typed("audit", "verify").exit_code == 0


def test_from_the_endpoint_sagemaker_finds_the_data_and_the_commit_that_the_lineage_names(story: Bed) -> None:
    """The advance function has written the rollouts by now: it does before it puts the audit record away."""
    target = story.target()
    sagemaker = target.client("sagemaker")
    endpoint = sagemaker.describe_endpoint(EndpointName=target.endpoint)["EndpointArn"]
    (context,) = sagemaker.list_contexts(SourceUri=endpoint)["ContextSummaries"]
    found = sagemaker.query_lineage(
        StartArns=[context["ContextArn"]], Direction="Ascendants", Filters={"Types": ["DataSet", "Code"]}
    )
    told = [sagemaker.describe_artifact(ArtifactArn=one["Arn"]) for one in found["Vertices"]]
    nodes = json.loads(typed("lineage", "--json").stdout)["nodes"]
    for kind, of, fact in (("data", "DataSet", "sha256"), ("commit", "Code", "commit")):
        named = {node["facts"][fact] for node in nodes if node["kind"] == kind}
        found_too = {one.get("Properties", {}).get(fact) for one in told if one["ArtifactType"] == of}
        assert named
        assert named <= found_too, "what was rolled back on the endpoint may be of another commit"
    actions = sagemaker.list_actions(SourceUri=endpoint, SortOrder="Ascending", MaxResults=100)["ActionSummaries"]
    described = [sagemaker.describe_action(ActionName=action["ActionName"]) for action in actions]
    verdicts = [one["Properties"]["verdict"] for one in described if "Properties" in one]
    assert verdicts == ["promoted", "promoted", "rolled_back"], "SageMaker's own deployments have no properties"


def test_destroy_leaves_nothing(story: Bed) -> None:
    target = story.target()
    succeeded(story.stack.pulumi("destroy", "--yes", "--stack", "local"))
    sagemaker = target.client("sagemaker")
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_models()["Models"] == []
    assert sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    artifacts = sagemaker.list_artifacts(MaxResults=100)["ArtifactSummaries"]
    assert {one["ArtifactType"] for one in artifacts} <= {"Image", "Model"}, "what SageMaker made itself stays"
    assert all(one["Source"]["SourceUri"].partition(":")[0] != "arn" for one in artifacts), artifacts
    actions = sagemaker.list_actions(MaxResults=100)["ActionSummaries"]
    assert {one["ActionType"] for one in actions if "-aws-" not in one["ActionName"]} == set()
    contexts = sagemaker.list_contexts(MaxResults=100)["ContextSummaries"]
    assert {one["ContextName"] for one in contexts if "-aws-" not in one["ContextName"]} == set()
    assert target.client("s3").list_buckets()["Buckets"] == []
    assert target.client("lambda").list_functions()["Functions"] == []
    assert target.client("dynamodb").list_tables()["TableNames"] == []
    assert target.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
