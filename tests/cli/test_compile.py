"""`modelstack pipeline compile`: what it takes from a stack's file, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from cli.local.stack import Stack
from cli.main import main

IMAGE = f"registry.example/train@sha256:{'a' * 64}"
WORDS = ("--engine", "kubeflow", "--stack", "dev", "--image", IMAGE, "--folder", "code=s3://bucket/code")


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, ["pipeline", "compile", *words])


def defaults(text: str) -> dict[str, Any]:
    found = next(yaml.safe_load_all(text))["root"]["inputDefinitions"]["parameters"]
    return {name: one["defaultValue"] for name, one in found.items()}


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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--engine", "argo"), "'argo' is not 'kubeflow'"),
        (("--engine", "kubeflow", "--stack", "dev"), "there is no image for the steps: the file of stack dev has no"),
        ((*WORDS, "--image", "train:latest"), "image 'train:latest' is not allowed: expected NAME@sha256:<64 digits>"),
        ((*WORDS, "--stack", "nowhere"), "there is no stack nowhere: no file stacks/Pulumi.nowhere.yaml"),
        ((*WORDS, "--set", "gate={}"), "there is no text 'gate'; expected one of parameters, through, recipe"),
        ((*WORDS, "--set", "gates"), "--set 'gates' is not allowed: expected NAME=TEXT"),
        ((*WORDS, "--folder", "code=s3://other"), "--folder code is given twice"),
        ((*WORDS, "--secret", "KEY=only"), "secret KEY=only is not allowed: expected VARIABLE=SECRET/KEY or /FOLDER"),
    ],
)
def test_what_is_unknown_or_missing_is_refused_before_anything_is_written(
    words: tuple[str, ...], told: str, tmp_path: Path
):
    file = tmp_path / "pipeline.yaml"
    refused = typed(*words, "--out", str(file))
    assert refused.exit_code == 2
    assert told in refused.output
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_told_in_words(tmp_path: Path):
    refused = typed(*WORDS, "--out", str(tmp_path / "nowhere" / "pipeline.yaml"))
    assert refused.exit_code == 2
    assert "pipeline.yaml: No such file or directory; expected a file to write" in " ".join(refused.output.split())
