"""`modelstack pipeline compile`: what it takes from a stack's file, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from modelstack.cli.local.stack import Stack
from modelstack.cli.main import main

IMAGE = f"registry.example/train@sha256:{'a' * 64}"
WORDS = ("--engine", "kubeflow", "--stack", "dev", "--image", IMAGE, "--folder", "code=s3://bucket/code")


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, ["pipeline", "compile", *words])


def defaults(text: str) -> dict[str, Any]:
    found = next(yaml.safe_load_all(text))["root"]["inputDefinitions"]["parameters"]
    return {name: one["defaultValue"] for name, one in found.items() if "defaultValue" in one}


@pytest.mark.slow
def test_a_run_takes_by_default_what_the_stacks_file_and_git_say_unless_it_is_given(tmp_path: Path):
    shown = typed(*WORDS, "--set", 'gates={"auc": {"min": 0.7}}', "--set", "lineage={}")
    assert shown.exit_code == 0, shown.output
    spec = next(yaml.safe_load_all(shown.stdout))
    model = Stack("dev").written()["config"]["modelstack:model"]
    found = defaults(shown.stdout)
    assert spec["pipelineInfo"]["name"] == model["name"]
    assert json.loads(found["parameters"]) == model["parameters"]
    assert found["gates"] == '{"auc": {"min": 0.7}}'
    assert len(json.loads(found["source"])["commit"]) == 40
    assert found["code_uri"] == "s3://bucket/code"
    file = tmp_path / "pipeline.yaml"
    assert typed(*WORDS, "--out", str(file)).exit_code == typed(*WORDS).exit_code == 0
    assert file.read_text() == typed(*WORDS).stdout, "the same bytes each time"


def test_code_from_a_package_is_not_said_to_be_of_this_checkout():
    shown = typed(*WORDS, "--set", f"code_digest=sha256:{'b' * 64}")
    assert defaults(shown.stdout)["source"] == "{}"


AWS = {
    **{"platform": "aws", "region": "us-east-1", "bucket": "models", "group": "flight-delay-dev"},
    **{"signing_key": "alias/signing", "image_uri": "registry.example/serve:v1"},
}
NO_IMAGE = ("--engine", "kubeflow", "--stack", "dev")
WRONG_WORDS = [
    (("--engine", "argo"), "'argo' is not 'kubeflow'"),
    (NO_IMAGE, "Pulumi.dev.yaml has no modelstack:retraining.image. `make image"),
    ((*WORDS, "--image", "train:latest"), "image: 'train:latest' is not allowed: expected NAME@sha256:<64 hexa"),
    ((*WORDS, "--stack", "nowhere"), "there is no stack nowhere: no file stacks/Pulumi.nowhere.yaml"),
    ((*WORDS, "--folder", "code=s3://other"), "--folder code is given twice"),
    ((*WORDS, "--secret", "KEY=only"), "secret KEY=only is not allowed: expected VARIABLE=SECRET/KEY or /FOLDER"),
]
WRONG_TEXTS = [
    ("gate={}", "there is no text 'gate'; expected one of parameters, through, recipe"),
    ('parameters={"max_iter": "many"}', "parameters.max_iter: 'many' is not allowed: expected an integer from 1 to"),
    ('parameters={"max_itr": 80}', "parameters.max_itr: unknown parameter; the model has evaluate_from"),
    ("through=2012-01-01", "through: '2012-01-01' is not allowed: the model knows all that it can know on that day"),
    ('gates={"auk": {"min": 0.6}}', "gates.auk: the model reports no metric 'auk'; allowed are auc"),
    ('gates={"auc": {"min": 0.9, "max": 0.1}}', "gates.auc.max: 0.1 is not allowed: expected a number from min on"),
    ("min_gain=0.01", "min_gain: '0.01' is of no use without the folder champion, which is not given"),
    ("place=here", "place: 'here' is not allowed: expected a JSON object"),
    (f"place={json.dumps(AWS | {'bucket': 's3://b'})}", "place.bucket: 's3://b' is not allowed: expected 3 to 63"),
    (f"place={json.dumps(AWS | {'regoin': 'x'})}", "place.regoin: no such field; expected platform, region"),
    ("code_digest=zz", "code_digest: 'zz' is not allowed: expected sha256:<64"),
]


@pytest.mark.parametrize(
    ("words", "told"), [*WRONG_WORDS, *(((*WORDS, "--set", text), told) for text, told in WRONG_TEXTS)]
)
def test_what_is_unknown_missing_or_of_no_use_to_a_run_is_refused_before_anything_is_written(
    words: tuple[str, ...], told: str, tmp_path: Path
):
    file = tmp_path / "pipeline.yaml"
    refused = typed(*words, "--out", str(file))
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert told in refused.output
    assert "Traceback" not in refused.output
    assert not file.exists()


def test_all_that_is_wrong_is_told_at_once():
    texts = ("through", 'parameters={"max_iter": -3}', "gates=1", "gates={}")
    words = (*(word for text in texts for word in ("--set", text)), "--folder", "code")
    refused = typed(*NO_IMAGE, *words)
    for said in (
        "image: missing; expected NAME@sha256:",
        "--set 'through' is not allowed: expected NAME=TEXT",
        "--set gates is given twice",
        "--folder 'code' is not allowed: expected NAME=ADDRESS",
        "parameters.max_iter: -3 is not allowed: expected an integer from 1 to",
        "gates: '1' is not allowed: expected a JSON object",
    ):
        assert said in refused.output
    several = [WRONG_TEXTS[at] for at in (1, 4, 6, 8, 10)]
    refused = typed(*WORDS, *(word for text, _ in several for word in ("--set", text)))
    assert [told for _, told in several if told not in refused.output] == []


def test_parameters_of_a_package_elsewhere_are_left_to_the_first_step() -> None:
    """They change those of a model that this checkout does not know."""
    digest = ("--set", f"code_digest=sha256:{'b' * 64}")
    shown = typed(*WORDS, *digest, "--set", 'parameters={"depth": 9}')
    assert json.loads(defaults(shown.stdout)["parameters"]) == {"depth": 9}
    assert "parameters: '[]' is not allowed" in typed(*WORDS, *digest, "--set", "parameters=[]").output


@pytest.mark.slow
def test_what_every_run_has_to_be_given_has_no_default_and_is_told():
    shown = typed(*WORDS, "--folder", "champion=s3://bucket/champion")
    assert "Each run has to be given champion_digest and place" in shown.stderr
    found = next(yaml.safe_load_all(shown.stdout))["root"]["inputDefinitions"]["parameters"]
    assert {name for name, one in found.items() if not one.get("isOptional")} == {"champion_digest", "place"}
    given = typed(*WORDS, "--set", f"place={json.dumps(AWS)}")
    assert "has to be given" not in given.stderr
    assert json.loads(defaults(given.stdout)["place"]) == AWS


@pytest.mark.parametrize(
    "address", ["here", "./code", "https://bucket/code", "s3:/bucket/code", "s3://", "s3://b u/c", "s3://a/b"]
)
def test_a_folder_that_kubeflow_could_not_read_is_refused_and_an_unknown_one_is_told_once(address: str):
    refused = typed(*WORDS, "--folder", f"champion={address}", "--folder", "chamipon=s3://a/b")
    assert f"folder champion: {address!r} is not allowed: expected s3://BUCKET/KEY" in refused.output
    assert "where BUCKET has 3 to 63 small letters, digits and ._-" in refused.output
    assert refused.output.count("chamipon") == 1


def test_a_file_that_cannot_be_written_is_told_in_words(tmp_path: Path):
    refused = typed(*WORDS, "--out", str(tmp_path / "nowhere" / "pipeline.yaml"))
    assert refused.exit_code == 2
    assert "pipeline.yaml: No such file or directory; expected a file to write" in " ".join(refused.output.split())
