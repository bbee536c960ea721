"""A team's own program: `docs/how-to/extend-the-program.md`, whose programs are checked and run as they are there."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

import modelstack as ms
from modelstack.program.page import PAGE as REFERENCE
from modelstack.program.page import page
from tests.program.on_cluster import run_on_cluster
from tests.program.recorded import ACCOUNT, IMAGE, OLD, ROOT, World, idle, record_run, run_program

PAGE = (ROOT / "docs" / "how-to" / "extend-the-program.md").read_text()
EXTENDED, TEAM, OPTIONS, REPLACED = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SOURCES = str(ROOT / "packages" / "modelstack" / "src")
BUCKET = {"bucket": "team-models"}
Main = Callable[[], Awaitable[None]]


@pytest.fixture
def infra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of the page, in files, with the module of the team."""
    for name, text in {"extended": EXTENDED, "team": TEAM, "replaced": REPLACED}.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "team", raising=False)
    return tmp_path


def main_of(path: Path) -> Main:
    return runpy.run_path(str(path))["main"]


def composed(declare: Callable[[ms.Stack[ms.Model]], None]) -> Main:
    """A program that first declares something in its own way."""

    async def main() -> None:
        stack = await ms.Stack.read()
        declare(stack)
        for model in await stack.build():
            model.rollout(after=[model.serving()])

    return main


def urns(world: World) -> set[tuple[str, str, str]]:
    return {(item.parent, item.type, item.name) for item in world.resources}


def run(main: Main, **given: Any) -> World:
    world = record_run(main=main, **given)
    assert world.stopped is None, world.stopped
    return world


# --- resources of the team


def test_a_team_adds_resources_that_use_the_librarys_outputs(infra: Path) -> None:
    world, before = run(main_of(infra / "extended.py"), state=idle(OLD)), run_program(state=idle(OLD))
    assert urns(before) < urns(world), "no name of the library's resources depends on the team's"
    added = {(kind.rpartition(":")[2], name) for _, kind, name in urns(world) - urns(before)}
    variants = {world.rollout["desired_release"]["variant"], OLD.variant}
    assert added == {
        *(("TopicSubscription", "mail"), ("Role", "clients"), ("RolePolicy", "clients")),
        *(("MetricAlarm", f"refusals-{variant}") for variant in variants),
    }
    topic = f"arn:aws:sns/topic:us-east-1:{ACCOUNT}:alerts"
    assert world.one(":TopicSubscription", "mail").inputs["topic"] == topic
    assert world.alarm(f"refusals-{OLD.variant}")["alarmActions"] == [topic]
    (calls,) = world.allows("clients")
    assert calls["Resource"] == f"arn:aws:sagemaker/endpoint:us-east-1:{ACCOUNT}:endpoint"
    assert {*before.exported} | {"clients_role"} == {*world.exported}


def test_a_trial_begins_after_the_alarms_that_the_team_adds(infra: Path) -> None:
    world = run(main_of(infra / "extended.py"), state=idle(OLD))
    depends = " ".join(world.one("modelstack:Rollout").depends)
    mine = [item.name for item in world.all(":MetricAlarm") if item.name.startswith("refusals-")]
    assert len(mine) == 2 and all(f"::{name}" in depends for name in mine)


def test_the_same_program_runs_on_a_cluster_without_the_resources_of_aws(infra: Path) -> None:
    world, before = run_on_cluster(main=main_of(infra / "extended.py")), run_on_cluster()
    assert (world.stopped, urns(world)) == (None, urns(before))


def test_a_team_adds_an_object_to_the_namespace_of_a_stack() -> None:
    def declare(stack: ms.Stack[ms.Model]) -> None:
        assert stack.kubernetes and stack.aws is None
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "team"}}
        stack.kubernetes.site.declare("team", manifest, pulumi.ResourceOptions())

    metadata = run_on_cluster(main=composed(declare)).one("core/v1:ConfigMap", "team").inputs["metadata"]
    assert (metadata["namespace"], metadata["labels"]["app.kubernetes.io/part-of"]) == ("models", "modelstack")


# --- options


def test_options_of_a_component_reach_all_its_resources() -> None:
    known: dict[str, Any] = {"pulumi": pulumi}
    exec(OPTIONS.partition("\n\n\n")[0], known)
    tagged = pulumi.ResourceOptions(transformations=[known["tagged"]], protect=True)
    world = run(composed(lambda stack: stack.controller(opts=tagged) and None))
    within = [item for item in world.resources if "modelstack:index:Rollback" in item.parent]
    assert len(within) > 10 and all(item.protected for item in within)
    assert world.one("sns/topic:Topic").inputs["tags"] == {"cost-centre": "4711"}
    others = [item for item in world.resources if item not in within and item.name != "rollback"]
    assert not any(item.protected or "cost-centre" in str(item.inputs.get("tags")) for item in others)


def test_a_parent_is_in_the_urns_that_providers_report_progress_for() -> None:
    def declare(stack: ms.Stack[ms.Model]) -> None:
        team = pulumi.ComponentResource("team:index:Team", "team")
        stack.models[0].package(opts=pulumi.ResourceOptions(parent=team))

    world = run(composed(declare))
    assert world.package["urn"].endswith("team:index:Team$pulumi-python:dynamic/modelstack:Package::package")
    assert world.rollout["urn"].endswith("::modelstack::pulumi-python:dynamic/modelstack:Rollout::rollout")


# --- replaced components


def test_bucket_key_and_dashboard_may_be_a_teams_own(infra: Path) -> None:
    world = run(main_of(infra / "replaced.py"), state=idle(OLD), registry=BUCKET)
    (bucket,) = world.all("s3/bucket:Bucket")
    assert (bucket.name, bucket.inputs["bucket"]) == ("team", BUCKET["bucket"])
    assert world.one(":BucketVersioning").inputs["bucket"] == BUCKET["bucket"], "the rules are the stack's"
    assert "BucketVersioning::artifacts" in " ".join(world.one("modelstack:Package").depends)
    assert world.package["bucket"] == world.exported["artifact_bucket"] == BUCKET["bucket"]
    assert {item.name for item in world.all("kms/key:Key")} == {"team", "signing", "audit"}
    granted = str([world.allows(role) for role in ("controller", "drift", "labels")])
    assert ":key/team'" in granted and f"s3:::{BUCKET['bucket']}/" in granted and "key/artifacts" not in granted
    assert not world.all(":Dashboard")
    assert world.exported["dashboard_url"] == "https://grafana.example.com/d/models"


class Hosting(pulumi.ComponentResource):
    def __init__(self, model: ms.AwsModel) -> None:
        super().__init__("team:index:Hosting", "hosting")
        opts = pulumi.ResourceOptions(parent=self)
        aws.sagemaker.Endpoint("own", name=model.names.endpoint, endpoint_config_name=model.plan.serving, opts=opts)


def test_a_component_of_the_team_serves_in_place_of_the_librarys() -> None:
    async def main() -> None:
        stack = (await ms.Stack.read()).aws
        assert stack
        for model in await stack.build():
            model.rollout(after=[Hosting(model)])

    world, usual = run(main, state=idle(OLD)), run_program(state=idle(OLD))
    (endpoint,) = world.all("sagemaker/endpoint:Endpoint")
    assert "team:index:Hosting" in endpoint.parent
    assert "Hosting$aws:sagemaker/endpoint:Endpoint::own" in " ".join(world.one("modelstack:Rollout").depends)
    assert not [item for item in world.resources if "modelstack:index:Serving" in item.type + item.parent]
    assert world.rollout["desired_release"] == usual.rollout["desired_release"]


def test_rules_of_a_bucket_may_be_a_teams_own() -> None:
    def declare(stack: ms.Stack[ms.Model]) -> None:
        assert stack.aws
        bucket = aws.s3.Bucket("team", bucket=BUCKET["bucket"])
        rule = aws.s3.BucketPolicy("team", bucket=bucket.bucket, policy="{}")
        stack.aws.registry(bucket=bucket, rules=[rule])

    world = run(composed(declare), registry=BUCKET)
    assert [item.name for item in world.resources if item.type.startswith("aws:s3/bucket")] == ["team", "team", "files"]
    assert "BucketPolicy::team" in " ".join(world.one("modelstack:Package").depends)


def test_a_trial_never_begins_without_the_librarys_alarms() -> None:
    """A program that leaves monitoring out gets it, and a retraining that the config asks for."""
    world = run(composed(lambda stack: None), retraining={"enabled": True, "image": IMAGE})
    assert urns(world) == urns(run_program(retraining={"enabled": True, "image": IMAGE}))


# --- wrong arguments


WRONG: dict[str, tuple[Callable[[Any], object], str]] = {
    "bucket": (
        lambda stack: stack.aws.registry(bucket="b"),
        "registry(bucket=...): got str 'b', expected Bucket or None",
    ),
    "opts": (
        lambda stack: stack.registry(opts={}),
        "registry(opts=...): got dict {}, expected ResourceOptions or None",
    ),
    "after": (
        lambda stack: stack.models[0].rollout(after=["x"]),
        "rollout(after=[...]): got str 'x', expected Resource",
    ),
    "twice": (
        lambda stack: (stack.registry(), stack.registry(opts=pulumi.ResourceOptions())),
        "registry() is declared already: pass opts to the first call of it",
    ),
    "another bucket": (
        lambda stack: stack.aws.registry(bucket=aws.s3.Bucket("own", bucket="other")),
        "registry(bucket=...): got other, and modelstack:registry.bucket is null",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_argument_is_refused_with_its_value_and_what_is_expected(what: str) -> None:
    declare, why = WRONG[what]
    assert str(record_run(main=composed(lambda stack: declare(stack) and None)).stopped) == why


def test_a_bucket_that_the_config_names_and_the_program_does_not_bring_is_refused() -> None:
    world = record_run(registry=BUCKET)
    assert str(world.stopped) == "registry(bucket=...): got no bucket, and modelstack:registry.bucket is team-models"
    assert {item.type.partition(":")[0] for item in world.resources} == {"pulumi"}, "nothing was declared"


def test_what_is_refused_is_refused_before_the_program_can_declare_anything() -> None:
    """Also if a program declares resources first thing after `read`."""
    world = record_run(main=composed(lambda stack: stack.registry() and None), rollout={"max_minutes": -1})
    assert "max_minutes" in str(world.stopped) and not world.resources


MISTAKES = """
import modelstack as ms
import pulumi

async def main() -> None:
    stack = await ms.Stack.read()
    stack.registry(protect=True)
    stack.aws.registry()
    for model in stack.models:
        model.rollout(after=["alarm"])
        model.serving(opts={"protect": True})
        model.servign()
"""


@pytest.mark.slow
def test_types_of_the_pages_programs_are_checked_and_mistakes_are_errors(infra: Path) -> None:
    (infra / "mistakes.py").write_text(MISTAKES)

    settings = {"preset": "strict", "python-interpreter-path": sys.executable, "search-path": [str(infra), SOURCES]}
    (infra / "pyrefly.toml").write_text("\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items()))

    def check(*names: str) -> str:
        words = [sys.executable, "-m", "pyrefly", "check", "--output-format", "min-text"]
        files = [str(infra / f"{name}.py") for name in names]
        return subprocess.run([*words, *files], capture_output=True, text=True, check=False, cwd=infra).stdout

    assert "ERROR" not in check("extended", "team", "replaced")
    found = check("mistakes")
    assert sorted(int(line) for line in re.findall(r"mistakes\.py:(\d+)", found)) == [7, 8, 10, 11, 12], found


# --- import time


def loaded(code: str) -> set[str]:
    whole = f"import sys\n{code}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=True).stdout.split())


def test_the_package_loads_nothing_and_a_stack_no_platform() -> None:
    """The provider of the platform starts in `Stack.read`; what is loaded before delays it."""
    assert not {name for name in loaded("import modelstack") if name.startswith(("pulumi", "modelstack."))}
    found = loaded("import modelstack as ms; ms.Stack")
    assert {name for name in found if name.startswith("modelstack.program.")} == {
        "modelstack.program.options",
        "modelstack.program.stack",
    }
    assert not found & {"pydantic", "pulumi_aws", "pulumi_kubernetes", "boto3"}


def test_a_name_that_is_not_public_is_an_error_that_lists_those_that_are() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'Stak'; public are Stack, Model, AwsStack,"):
        _ = ms.Stak  # pyrefly: ignore


def test_every_public_name_is_there() -> None:
    assert all(getattr(ms, name).__name__ == name for name in ms.PUBLIC)


def test_the_reference_of_the_program_is_what_the_code_says() -> None:
    assert REFERENCE.read_text() == page(), "make docs"
    assert "### `Model.rollout(*, after: Sequence[pulumi.Resource], opts: Opts = None) -> Rollout`" in page()


def test_a_cluster_has_no_bucket_of_the_program() -> None:
    stopped = str(run_on_cluster(registry=BUCKET).stopped)
    assert 'modelstack:registry.bucket = "team-models": only stacks on AWS have it; allowed is null' in stopped
