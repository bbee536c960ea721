"""The program of a job of the pipeline runs the steps of its group by the command of every engine, or says why not."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelstack.pipeline import outcome, step
from modelstack.pipeline.step import REFUSED, StepFailed
from modelstack.pipeline.steps import PIPELINE
from modelstack.platforms.aws.jobs import group

REFUSALS = "s3://artifacts/pipeline/refused"


class Steps:
    """The processes of steps: each writes one file, or raises what `fails` has for its tries."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []
        self.fails: dict[str, list[StepFailed]] = {}

    def run(self, root: Path, module: str, words: list[str], progress: Callable[[str], None], **how: Any) -> None:
        assert (root, module) == (Path.cwd(), "modelstack.pipeline.run")
        self.ran.append(words)
        out = Path(words[-1].removeprefix("--out="))
        assert not out.exists() or not list(out.iterdir()), "a step wants an empty folder"
        (out / "folder").mkdir(parents=True)
        (out / "folder" / "partly").write_text("x")
        assert how == {"name": words[0], "timeout": PIPELINE.step(words[0]).timeout}
        if left := self.fails.get(words[0]):
            raise left.pop(0)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    made = Steps()
    monkeypatch.setattr(step, "run", made.run)
    monkeypatch.setattr(group.time, "sleep", lambda seconds: None)
    return made


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was put into the bucket."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(group, "_tell", found.__setitem__)
    return found


def training(opt_ml: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What SageMaker lays out for the training job."""
    monkeypatch.setenv("TRAINING_JOB_NAME", "pipelines-build")
    for name, content in {"config/hyperparameters.json": "{}", "data/code/model/__init__.py": "1"}.items():
        path = opt_ml / "input" / name
        path.parent.mkdir(parents=True)
        path.write_text(content)
    return opt_ml


def processing(opt_ml: Path, *, champion: str, passed: bool = True) -> Path:
    """What SageMaker lays out for a processing job: the training job's archive, and a verdict."""
    given = opt_ml / "processing/input"
    files = {
        given / "settings/settings.json": '{"gates": "{}"}',
        given / "code/model/__init__.py": "1",
        given / "champion/model.tar.gz" if champion else given / "champion/nothing": champion,
        opt_ml / "config/processingjobconfig.json": '{"ProcessingJobName": "pipelines-check"}',
    }
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    made = opt_ml / "made"
    for name in ("data", "train", "evaluate", "seal"):
        left(made, name, "made.txt", name)
    left(given / "check", "gate", "verdict.json", json.dumps({"passed": passed}))
    left(given / "check", "compare", "compared.json", "{}")
    (given / "build").mkdir()
    with tarfile.open(given / "build/model.tar.gz", "w:gz") as archive:
        for path in made.iterdir():
            archive.add(path, path.name)
    return opt_ml


def left(group: Path, name: str, file: str, content: str) -> None:
    """The outcome of a step of an earlier job, with one file."""
    (group / name).mkdir(parents=True)
    (group / name / file).write_text(content)
    outcome.record(replace(PIPELINE.step(name), gives=(file,), beside=()), group / name, {})


def taken(words: list[str]) -> dict[str, Path]:
    return {name: Path(at) for word in words if word.startswith("--in=") for name, at in [word[5:].split("=", 1)]}


def test_the_training_job_runs_its_steps_one_after_the_other_on_what_the_ones_before_made(
    steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert group.main(["build", REFUSALS], training(tmp_path, monkeypatch)) == 0
    assert [words[0] for words in steps.ran] == ["data", "train", "evaluate", "seal"]
    seal = steps.ran[-1]
    code = {"code": tmp_path / "input/data/code"}
    assert taken(seal) == {**code, **{name: tmp_path / "model" / name for name in ("data", "train", "evaluate")}}
    assert seal[-2:] == [f"--settings={tmp_path}/input/config/hyperparameters.json", f"--out={tmp_path}/model/seal"]
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("champion", ["", "an archive"])
def test_a_processing_job_unpacks_what_training_made_and_leaves_out_what_is_not_given(
    steps: Steps, tmp_path: Path, champion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    run = steps.run

    def reading(root: Path, module: str, words: list[str], progress: Callable[[str], None], **how: Any) -> None:
        read.append((taken(words)["seal"] / "made.txt").read_text())
        run(root, module, words, progress, **how)

    monkeypatch.setattr(step, "run", reading)
    assert group.main(["check", REFUSALS], processing(tmp_path, champion=champion)) == 0
    compare, gate = steps.ran
    assert ("champion" in taken(compare)) is bool(champion)
    assert read == ["seal", "seal"]
    assert taken(gate)["compare"] == tmp_path / "processing/output/compare"
    assert f"--settings={tmp_path}/processing/input/settings/settings.json" in compare


@pytest.mark.parametrize(("passed", "ran"), [(True, ["sign", "register"]), (False, [])])
def test_what_waits_for_a_verdict_runs_only_if_that_passed(
    steps: Steps, tmp_path: Path, passed: bool, ran: list[str]
) -> None:
    assert group.main(["release", REFUSALS], processing(tmp_path, champion="", passed=passed)) == 0
    assert [words[0] for words in steps.ran] == ran


def test_a_refusal_is_told_in_the_bucket_and_not_tried_again(
    steps: Steps, told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.fails["train"] = [StepFailed("train", "refused: no rows", refused=True)]
    assert group.main(["build", REFUSALS], training(tmp_path, monkeypatch)) == REFUSED
    assert told == {f"{REFUSALS}/pipelines-build.json": {"step": "train", "why": "train refused: no rows"}}
    assert (tmp_path / "output/failure").read_text() == "train refused: no rows"
    assert [words[0] for words in steps.ran] == ["data", "train"]


def test_a_refusal_that_the_bucket_does_not_take_is_still_the_reason_of_the_job(
    steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(uri: str, said: Any) -> None:
        raise PermissionError(uri)

    monkeypatch.setattr(group, "_tell", denied)
    steps.fails["train"] = [StepFailed("train", "refused: no rows", refused=True)]
    with pytest.raises(PermissionError):
        group.main(["build", REFUSALS], training(tmp_path, monkeypatch))
    assert (tmp_path / "output/failure").read_text() == "train refused: no rows"


def outside() -> bytes:
    """An archive with a file that would be unpacked next to the folder."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))
    return made.getvalue()


CHANGED = b'{"passed": true }'


@pytest.mark.parametrize(
    ("group_of", "file", "content", "said"),
    [
        ("check", "build/model.tar.gz", CHANGED, "model.tar.gz cannot be unpacked: "),
        ("check", "build/model.tar.gz", outside(), "model.tar.gz: ../outside is no file or folder within it"),
        ("release", "check/gate/verdict.json", CHANGED, "gate/verdict.json has sha256 "),
        ("release", "check/compare/outcome.json", CHANGED, "compare/outcome.json cannot be read: "),
    ],
    ids=["no archive", "outside", "verdict", "outcome"],
)
def test_nothing_runs_on_what_an_earlier_job_left_and_somebody_changed(
    steps: Steps, told: dict[str, Any], tmp_path: Path, *, group_of: str, file: str, content: bytes, said: str
) -> None:
    (processing(tmp_path, champion="") / "processing/input" / file).write_bytes(content)
    assert group.main([group_of, REFUSALS], tmp_path) == REFUSED
    (refusal,) = told.values()
    assert (refusal["step"], refusal["spoiled"]) == (group_of, True)
    assert said in refusal["why"]
    assert "\n" not in refusal["why"]
    assert steps.ran == []


@pytest.mark.parametrize(("failures", "status"), [(2, 0), (3, 1)])
def test_a_step_is_tried_as_often_as_it_is_declared(
    steps: Steps, told: dict[str, Any], tmp_path: Path, failures: int, status: int
) -> None:
    steps.fails["sign"] = [StepFailed("sign", "failed: KMS is down", last=["signing"])] * failures
    assert group.main(["release", REFUSALS], processing(tmp_path, champion="")) == status
    assert [words[0] for words in steps.ran].count("sign") == 3
    why = "sign failed: KMS is down\n  its last lines:\n    signing"
    file = f"{REFUSALS}/pipelines-check.failed.json"
    assert told == ({file: {"step": "sign", "why": why}} if status else {}), "a failure is no refusal"
    if status:
        assert (tmp_path / "output/message").read_text() == why


def test_another_group_is_refused_with_the_names_of_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert group.main(["built", REFUSALS], tmp_path) == 2
    assert "expected one of build, check, release" in capsys.readouterr().err
