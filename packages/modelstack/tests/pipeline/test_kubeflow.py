from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from demos.builds import kubeflow_docker
from modelstack.pipeline import outcome
from modelstack.pipeline.engines.kubeflow import KubeflowSite, Secret, SiteError, compiled
from modelstack.pipeline.recipe import canonical, recipe
from modelstack.pipeline.steps import PIPELINE, VERDICT, Input, Pipeline, Resources, Step
from tests.pipeline.kubeflow.api import PREFIX, api
from tests.process import python
from tests.small import SMALL

ROOT = Path(__file__).resolve().parents[4]
IMAGE = f"registry.example/train@sha256:{'a' * 64}"
SITE = KubeflowSite(
    "flight-delay",
    IMAGE,
    texts={"parameters": canonical(SMALL), "gates": '{"auc":{"min":0.6}}'},
    folders={"code": "s3://bucket/code", "champion": "s3://bucket/packages/1"},
    secrets={"AWS_ACCESS_KEY_ID": Secret("bucket", "id"), "/root/.docker": Secret("login")},
)
OTHER = Pipeline(
    (Input("raw_rows", "folder", "rows"), Input("most", "text", "at most", "3")),
    (
        Step("look_up", "a:main", "look", takes=("raw_rows", "most"), gives=("found.json",), retries=1),
        Step("judge", "a:main", "judge", takes=("look_up",), gives=(VERDICT,), resources=Resources(4, 16)),
        Step("act", "a:main", "act", takes=("judge", "most"), cached=False, only_if="judge", retries=2),
    ),
)
"""Another pipeline, so that nothing is known of the real one's names."""


def documents(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


def tasks(site: KubeflowSite, pipeline: Pipeline = OTHER) -> dict[str, Any]:
    return documents(compiled(pipeline, site))[0]["root"]["dag"]["tasks"]


def test_the_same_declaration_is_the_same_bytes_in_whatever_order_it_is_given():
    turned = replace(
        SITE,
        texts=dict(reversed(SITE.texts.items())),
        folders=dict(reversed(SITE.folders.items())),
        secrets=dict(reversed(SITE.secrets.items())),
    )
    assert compiled(PIPELINE, SITE) == compiled(PIPELINE, turned)


def test_a_task_waits_for_what_it_takes_and_is_tried_again_as_declared():
    found = tasks(KubeflowSite("other", IMAGE, folders={"raw_rows": "s3://bucket/rows"}))
    assert {name: one.get("dependentTasks", []) for name, one in found.items()} == {
        **{"raw-rows": [], "look-up": ["raw-rows"], "judge": ["look-up"], "act": ["judge"]},
        "judge-refused": ["judge"],
    }
    assert [found[name].get("retryPolicy", {}).get("maxRetryCount") for name in ("look-up", "judge", "act")] == [
        1,
        None,
        2,
    ]


def test_a_step_that_waits_for_a_verdict_runs_if_it_passed_and_else_the_run_fails():
    found = tasks(KubeflowSite("other", IMAGE))
    said = {name: one["triggerPolicy"]["condition"] for name, one in found.items() if "triggerPolicy" in one}
    assert said == {
        "act": "inputs.parameter_values['judge--passed'] == true",
        "judge-refused": "inputs.parameter_values['judge--passed'] == false",
    }
    passed = {"taskOutputParameter": {"producerTask": "judge", "outputParameterKey": "passed"}}
    assert [found[name]["inputs"]["parameters"]["judge--passed"] for name in said] == [passed, passed]


def test_the_cache_knows_a_step_by_the_digests_of_what_it_takes_and_never_one_that_reads_a_folder_nobody_has_read():
    def cached(found: dict[str, Any]) -> set[str]:
        return {name for name, one in found.items() if one["cachingOptions"].get("enableCache")}

    inside, outside = (
        tasks(KubeflowSite("other", IMAGE)),
        tasks(KubeflowSite("other", IMAGE, folders={"raw_rows": "s3://bucket/rows"})),
    )
    assert (cached(inside), cached(outside)) == ({"look-up", "judge"}, {"judge"})
    assert "raw-rows" not in inside
    digest = {"taskOutputParameter": {"producerTask": "look-up", "outputParameterKey": "digest"}}
    assert outside["judge"]["inputs"]["parameters"]["look_up--digest"] == digest


def test_a_container_runs_the_command_of_every_engine_on_a_machine_that_is_large_enough():
    spec = documents(compiled(OTHER, KubeflowSite("other", IMAGE, folders={"raw_rows": "s3://bucket/rows"})))[0]
    executors = spec["deploymentSpec"]["executors"]
    assert executors["exec-look-up"]["container"]["args"] == [
        *("{{$}}", "look_up", "--in", "raw_rows={{$.inputs.artifacts['raw_rows'].path}}"),
        *("--set", "most={{$.inputs.parameters['most']}}", "--out", "{{$.outputs.artifacts['look_up'].path}}"),
    ]
    assert {one["container"]["image"] for one in executors.values() if "container" in one} == {IMAGE}
    large = executors["exec-judge"]["container"]["resources"]
    assert (large["resourceCpuRequest"], large["resourceMemoryRequest"], large["resourceMemoryLimit"]) == (
        "4",
        "16G",
        "16G",
    )


def test_secrets_are_for_the_steps_that_change_something_outside_alone():
    _, needs = documents(compiled(PIPELINE, SITE))
    given = needs["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert given.keys() == {"exec-sign", "exec-register"}
    for secrets in given.values():
        ((variable,), (folder,)) = (secrets["secretAsEnv"], secrets["secretAsVolume"])
        assert (variable["secretName"], variable["keyToEnv"]) == (
            "bucket",
            [{"secretKey": "id", "envVar": "AWS_ACCESS_KEY_ID"}],
        )
        assert (folder["secretName"], folder["mountPath"]) == ("login", "/root/.docker")
    assert len(documents(compiled(PIPELINE, replace(SITE, secrets={})))) == 1


def test_all_that_is_wrong_with_a_site_is_told_at_once():
    wrong = KubeflowSite(
        "Flight", "train:latest", {"gate": "{}"}, {"champion": "here", "model": "s3://any/m"}, {"A-B": Secret("s", "k")}
    )
    with pytest.raises(SiteError) as told:
        compiled(PIPELINE, wrong)
    assert [line.partition(";")[0].partition(":")[0] for line in str(told.value).splitlines()] == [
        "name",
        "image",
        "there is no text 'gate'",
        "there is no folder 'model'",
        "folder champion",
        "secret A-B=s/k is not allowed",
    ]


def answer(*words: str | Path) -> Any:
    """The answer of a command of `sdk.py`, in the SDK's own environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KF_", "PYTHONPATH"))}
    command = [kubeflow_docker.python(), ROOT / "packages/modelstack/tests/pipeline/kubeflow/sdk.py", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_kubeflows_own_types_hold_all_that_is_written_and_its_compiler_writes_the_same(tmp_path: Path):
    file, again = tmp_path / "pipeline.yaml", tmp_path / "again.yaml"
    file.write_text(compiled(PIPELINE, SITE))
    spec, needs = documents(file.read_text())
    found = answer("read", file)
    assert found["spec"] == spec
    assert found["executors"] == spec["deploymentSpec"]
    assert found["kubernetes"] == needs["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    texts = {one.name for one in PIPELINE.inputs if one.kind == "text"}
    assert found["name"] == "flight-delay"
    assert found["inputs"].keys() == texts | {"code_uri", "champion_uri"}
    answer("again", file, again)
    assert documents(again.read_text()) == [spec, needs]


@pytest.mark.slow
def test_kubeflows_own_client_sends_the_pipeline_whole_with_what_the_run_is_given(tmp_path: Path):
    file = tmp_path / "pipeline.yaml"
    file.write_text(compiled(PIPELINE, SITE))
    with api() as server:
        done = answer("submit", file, server.url, '{"gates": "{}"}')
    assert done == {"pipeline": "p1", "run": "r1", "state": "SUCCEEDED"}
    (run,) = server.bodies("POST", f"{PREFIX}/runs")
    spec, needs = documents(file.read_text())
    assert run["pipeline_spec"] == {"pipeline_spec": spec, "platform_spec": needs}
    assert run["runtime_config"]["parameters"] == {"gates": "{}"}
    assert (run["experiment_id"], run["service_account"]) == ("e1", "releases")
    (uploaded,) = server.bodies("POST", f"{PREFIX}/pipelines/upload")
    assert file.read_bytes() in uploaded


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "modelstack.pipeline.engines.kubeflow_task", *words)


def resolved(folder: Path, step: str) -> str:
    """The value of `{{$}}`."""
    artifact = {"name": step, "uri": f"s3://bucket/{step}", "type": {"schemaTitle": "system.Artifact"}}
    outputs = {"artifacts": {step: {"artifacts": [artifact]}}, "outputFile": str(folder / "told" / "output.json")}
    return json.dumps({"inputs": {}, "outputs": outputs})


@pytest.mark.slow
def test_a_step_in_its_container_tells_the_digest_of_its_outcome_and_a_refusal_by_status_and_name(tmp_path: Path):
    words = ["data", "--set", f"parameters={json.dumps(SMALL)}", "--out", str(tmp_path / "data")]
    done = run(resolved(tmp_path, "data"), *words)
    assert done.returncode == 0, done.stderr
    digest = outcome.verified(tmp_path / "data", "data").digest
    told = json.loads((tmp_path / "told" / "output.json").read_text())
    assert told["parameterValues"] == {"digest": digest}
    (artifact,) = told["artifacts"]["data"]["artifacts"]
    assert (artifact["uri"], artifact["metadata"]) == ("s3://bucket/data", {"digest": digest})
    assert recipe(ROOT, SMALL).id in done.stdout
    shutil.rmtree(tmp_path / "data")
    refused = run(resolved(tmp_path / "again", "data"), *words, "--set", f"recipe={'0' * 64}")
    assert refused.returncode == 4
    assert refused.stderr.startswith("data refused: the checkout changed after its recipe 000000000000 was computed")
    assert not (tmp_path / "again").exists(), "nothing is told of what was not made"


@pytest.mark.slow
def test_why_a_verdict_did_not_pass_is_told_with_the_name_of_the_step(tmp_path: Path):
    (tmp_path / VERDICT).write_text(canonical({"passed": False, "why": "auc is 0.58, below 0.6"}))
    outcome.record(PIPELINE.step("gate"), tmp_path, {})
    done = run("--refused", "gate", str(tmp_path))
    assert (done.returncode, done.stderr) == (4, "gate refused: auc is 0.58, below 0.6\n")


def test_an_outcome_that_is_whole_but_is_not_the_one_that_kubeflow_was_told_of_is_refused(tmp_path: Path):
    for name in ("seal", "compare"):
        one, folder = PIPELINE.step(name), tmp_path / name
        folder.mkdir()
        for file in (*one.gives, *one.beside):
            (folder / file).write_text("{}")
        outcome.record(one, folder, {})
    told = {f"{name}--digest": outcome.read(tmp_path / name).digest for name in ("seal", "compare")}
    told["seal--digest"] = f"sha256:{'e' * 64}"
    asked = json.loads(resolved(tmp_path, "gate")) | {"inputs": {"parameterValues": told}}
    taken = [word for name in ("seal", "compare") for word in ("--in", f"{name}={tmp_path / name}")]
    refused = run(json.dumps(asked), "gate", *taken, "--out", str(tmp_path / "gate"))
    assert (refused.returncode, (tmp_path / "told").exists()) == (4, False)
    assert refused.stderr.startswith("gate refused: the outcome of seal has digest sha256:")
    assert f"expected sha256:{'e' * 64}" in refused.stderr


@pytest.mark.parametrize("spoil", ["changed", "gone"])
def test_a_verdict_that_was_changed_is_told_so_in_words(tmp_path: Path, spoil: str):
    (tmp_path / VERDICT).write_text(canonical({"passed": False, "why": "auc is 0.58, below 0.6"}))
    outcome.record(PIPELINE.step("gate"), tmp_path, {})
    (tmp_path / VERDICT).write_text("{}") if spoil == "changed" else (tmp_path / outcome.RECORD).unlink()
    done = run("--refused", "gate", str(tmp_path))
    assert done.returncode == 4
    assert done.stderr.startswith(f"gate refused: {tmp_path}")
    assert len(done.stderr.splitlines()) == 1
