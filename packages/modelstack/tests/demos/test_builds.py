"""`make pipeline`: digests of engines beside each other, and what is said when one of them cannot or did not."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import yaml

from demos.builds import __main__ as command
from demos.builds import digest_comparison, kubeflow_docker, local_build, not_serving, sagemaker_execution
from demos.builds.sagemaker_execution import Executed
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.stack import Stack
from modelstack.pipeline import outcome
from modelstack.pipeline.recipe import Recipe
from modelstack.pipeline.steps import PIPELINE
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.reason import Reason

ROOT = Path(__file__).resolve().parents[4]
MADE = {"data": f"sha256:{'a' * 64}", digest_comparison.PACKAGE: f"sha256:{'b' * 64}"}
BEFORE = "data, train, evaluate, seal, compare"
RECIPE = Recipe("f" * 64, {})
COMMANDS = Commands.of_stack(command.STACK)
OTHER = {**MADE, digest_comparison.PACKAGE: f"sha256:{'c' * 64}"}


def test_digests_stand_beside_each_other_and_differences_are_named() -> None:
    found = {"one": MADE, "two": OTHER}
    assert digest_comparison.table(found).splitlines() == [
        "step     one                  two",
        f"data     sha256:{'a' * 12}  sha256:{'a' * 12}",
        f"package  sha256:{'b' * 12}  sha256:{'c' * 12}",
    ]
    assert digest_comparison.other(found) == [digest_comparison.PACKAGE]
    assert digest_comparison.other(
        {"one": MADE, "two": {digest_comparison.PACKAGE: MADE[digest_comparison.PACKAGE]}}
    ) == ["data"]
    assert digest_comparison.agreed({**found, "three": MADE}) == 2


def test_an_unknown_engine_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["four"]) == 2
    assert "'four' is no engine: expected local, sagemaker, kubeflow" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            ["waiting for another", "gate: judge", "gate: passed"],
            ["waiting for another", f"{BEFORE}: kept from an earlier build", "gate: judge", "gate: passed"],
        ),
        (
            ["train: fit", "train: fitted", "train failed: no; it is tried again", "seal: seal"],
            [
                *("data: kept from an earlier build", "train: fit", "train: fitted"),
                *("train failed: no; it is tried again", "evaluate: kept from an earlier build", "seal: seal"),
                "compare, gate: kept from an earlier build",
            ],
        ),
        ([], [f"{BEFORE}, gate: kept from an earlier build"]),
    ],
)
def test_steps_that_were_kept_are_told_in_the_order_of_the_steps(
    monkeypatch: pytest.MonkeyPatch, said: list[str], shown: list[str]
) -> None:
    def build(*_: Any, progress: Any) -> Any:
        for line in said:
            progress(line)
        return SimpleNamespace(path=Path("folder/seal/model.tar.gz"))

    monkeypatch.setattr(local_build, "build", build)
    monkeypatch.setattr(local_build, "left", lambda folder: {folder.name: ""})
    lines: list[str] = []
    assert local_build.digests(RECIPE, {}, lines.append) == {"folder": ""}
    assert lines == shown


@dataclass
class Engines:
    """Engines that make at once what a test says; Kubeflow's has no Docker engine.

    Attributes:
        local: What the local one makes.
        sagemaker: What an execution has made; None: there is none.
        ended: When that ended.
        answered: The package that answers.
        state: The journal.
        config: The copy of the stack's file.
    """

    local: Mapping[str, str] = field(default_factory=lambda: MADE)
    sagemaker: Mapping[str, str] | None = field(default_factory=lambda: MADE)
    ended: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(hours=1))
    answered: str = MADE[digest_comparison.PACKAGE]
    state: RolloutState = field(default_factory=lambda: RolloutState("e"))
    config: Path | None = None

    def executed(self, *_: Any) -> Executed:
        if self.sagemaker is None:
            raise sagemaker_execution.NoneExecuted("no execution of pipeline e has built recipe r")
        return Executed("a/b", self.ended, self.sagemaker, {})

    def served(self, console: Any) -> tuple[Any, Any]:
        target = SimpleNamespace(region="us-east-1", endpoint="e", output=lambda name: name, commands=COMMANDS)
        return replace(Stack(command.STACK), config=self.config), target


def left_by(folder: Path, *, through: str, passed: bool = True) -> dict[str, Path]:
    """Step -> the folder of its outcome, of every step up to one."""
    left: dict[str, Path] = {}
    for one in PIPELINE.order():
        left[one.name] = folder / one.name
        left[one.name].mkdir()
        for file in (*one.gives, *one.beside):
            (left[one.name] / file).write_text(json.dumps({"passed": passed, "why": "auc is 0.58, below 0.6"}))
        outcome.record(one, left[one.name], {})
        if one.name == through:
            return left
    raise AssertionError(f"there is no step {through}")


def test_a_refusal_that_kubeflows_sdk_takes_for_success_is_one(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"SDK: gate-refused: auc is 0\.58, below 0\.6$"):
        kubeflow_docker.check_all_ran(left_by(tmp_path, through="gate", passed=False), kubeflow_docker.Said())


@pytest.mark.parametrize(("through", "lacks"), [("train", "evaluate"), ("gate", "sign"), ("sign", "register")])
def test_a_step_that_failed_unseen_by_kubeflows_sdk_is_named(tmp_path: Path, through: str, lacks: str) -> None:
    of = {lacks: [*map(str, range(20)), "it was ended by signal 9 (Killed)"], "data": ["not of it"]}
    with pytest.raises(OperatorError) as refused:
        kubeflow_docker.check_all_ran(left_by(tmp_path, through=through), kubeflow_docker.Said(of=of))
    first, *lines = str(refused.value).splitlines()
    assert first == f"the pipeline failed under Kubeflow's SDK: {lacks} failed, and has left no outcome"
    assert lines == [f"  {line}" for line in of[lacks][-15:]]


def test_a_run_that_left_every_outcome_is_one(tmp_path: Path) -> None:
    kubeflow_docker.check_all_ran(left_by(tmp_path, through=PIPELINE.order()[-1].name), kubeflow_docker.Said())


def test_a_steps_own_words_are_told_apart_from_those_of_kubeflows_sdk() -> None:
    said = kubeflow_docker.Said()
    printed = """\
07:32:57.1 - INFO - Executing task \x1b[96m'data'\x1b[0m
07:32:57.1 - INFO - Streamed logs:

    Found image 'a@sha256:b'
    
    data: recipe 1
07:32:58.1 - INFO - Task \x1b[96m'data'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m
07:32:58.1 - INFO - Task \x1b[96m'data'\x1b[0m outputs:
    digest: 'sha256:1'
07:32:59.1 - INFO - Executing task \x1b[96m'train'\x1b[0m
    train failed: it was ended by signal 9 (Killed)
07:33:00.1 - ERROR - Task \x1b[96m'train'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m
Traceback (most recent call last):
"""
    assert [task for line in printed.splitlines() if (task := said.hear(line))] == ["data", "train"]
    assert said.of == {"data": ["data: recipe 1"], "train": ["train failed: it was ended by signal 9 (Killed)"]}


def test_a_run_that_is_stopped_leaves_no_sdk_that_goes_on_to_register(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, facts = tmp_path / "runner.py", tmp_path / "facts.json"
    runner.write_text(
        "import json, os, sys, time\n"
        "given = json.load(sys.stdin)['settings']['labels']\n"
        f"with open({str(facts)!r}, 'w') as file:\n"
        "    json.dump([os.getpid(), os.getsid(0), os.environ['TMPDIR'], given], file)\n"
        "print(\"Executing task 'data'\", flush=True)\ntime.sleep(600)\n"
    )
    ended: list[str] = []
    monkeypatch.setattr(kubeflow_docker, "RUNNER", runner)
    monkeypatch.setattr(kubeflow_docker, "python", lambda: sys.executable)
    monkeypatch.setattr(kubeflow_docker, "_end_containers", ended.append)

    def stopped(_: str) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "run" / "root"
    with pytest.raises(KeyboardInterrupt):
        kubeflow_docker.run(tmp_path / "pipeline.yaml", folder, {}, {}, stopped)
    pid, session, temporary, labels = json.loads(facts.read_text())
    assert not psutil.pid_exists(pid)
    assert session == pid, "a Ctrl-C reaches us alone"
    assert Path(temporary) == folder.parent
    assert ended == [f"{name}={value}" for name, value in labels.items()]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Engines:
    """The engines."""
    engines = Engines()

    def no_engine(*_: Any) -> None:
        raise OperatorError("no Docker engine answers: no", "Start one.")

    monkeypatch.setattr(local_build, "digests", lambda *_: engines.local)
    monkeypatch.setattr(sagemaker_execution, "executed", engines.executed)
    monkeypatch.setattr(kubeflow_docker.Engine, "find", no_engine)
    monkeypatch.setattr(command.Local, "require_free", lambda self, name: None)
    monkeypatch.setattr(command, "_served", engines.served)
    monkeypatch.setattr(command, "traced", lambda target: SimpleNamespace(package=engines.answered))
    monkeypatch.setattr(command, "render", lambda *_: "the chain")
    monkeypatch.setattr(command, "journal_state", lambda target: engines.state)
    return engines


def test_without_a_docker_engine_the_others_are_compared_and_it_is_said(
    world: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([]) == 0
    said = capsys.readouterr().out
    assert "error: no Docker engine answers: no" in said
    assert "The other engines are compared without it." in said
    assert f"2 of 2 made {MADE[digest_comparison.PACKAGE]}" in said
    assert "the chain" in said
    assert "execution b has built it" in said
    assert "is not of what was built" not in said
    assert "--config-file" not in said
    assert command.main(["kubeflow"]) == 1, "it was asked for"
    assert capsys.readouterr().out.startswith("error: no Docker engine answers: no"), "before anything is done"


def test_engines_that_differ_are_an_error_that_names_the_steps(
    world: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    world.sagemaker = OTHER
    assert command.main([]) == 1
    assert "The engines differ in what package made" in capsys.readouterr().out


WHY = Reason("person", "ada", "it sold more")
RESTORED = Restored("3f0c", "r", OTHER[digest_comparison.PACKAGE], "s3://a", "image", WHY, 2.0, 1.0)
REFUSED = Verdict("rolled_back", Reason("alarm", "v-77c1-p99", "it was slow"), "1", "77c1", "r", MADE["package"], 1.0)


def test_why_what_was_built_does_not_serve_is_told_with_the_way_back() -> None:
    built, state = MADE[digest_comparison.PACKAGE], RolloutState("e")
    refused = replace(state, rejected={"0": replace(REFUSED, release="0", package_digest="other"), "77c1": REFUSED})
    assert not_serving.why(refused, built, COMMANDS) == (
        "Release 77c1 was rolled back and is not tried again: it was slow. To try it again: "
        "modelstack --stack local-pipeline clear 77c1; then type: make pipeline"
    )
    assert not_serving.why(replace(refused, restored=RESTORED), built, COMMANDS) == (
        "Release 3f0c is restored, in place of what checkout and config ask for: it sold more. To let "
        'these count again: modelstack --stack local-pipeline restore --clear --reason "..."; then type: make pipeline'
    )
    assert not_serving.why(state, built, COMMANDS) == "To see what serves: modelstack --stack local-pipeline status"


def test_a_package_of_an_earlier_update_that_does_not_serve_is_told_as_such(
    world: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    world.ended, world.answered = datetime.now(UTC) - timedelta(seconds=1), OTHER[digest_comparison.PACKAGE]
    world.state = replace(world.state, rejected={"77c1": REFUSED})
    assert command.main(["sagemaker"]) == 0
    said = capsys.readouterr().out
    assert "execution b built it: kept from an earlier update" in said
    assert f"not of what was built: package sha256:{'b' * 12} does not serve.\nRelease 77c1 was rolled back" in said


def test_a_recipe_that_was_not_built_as_another_release_is_restored_is_told_so(
    world: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    world.sagemaker, world.state = None, replace(world.state, restored=RESTORED)
    assert command.main(["sagemaker"]) == 1
    assert capsys.readouterr().out.endswith(
        "error: no execution of pipeline e has built recipe r\n  " + not_serving.why(world.state, "", COMMANDS) + "\n"
    )


def test_what_engines_made_before_one_failed_is_shown_before_the_error(
    world: Engines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: Any) -> None:
        raise OperatorError("the Docker engine went away")

    monkeypatch.setattr(command, "_contained", gone)
    assert command.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "error: the Docker engine went away"
    assert lines[-4:-1] == digest_comparison.table({"local": MADE, "sagemaker": MADE}).splitlines()


def test_its_stack_is_that_of_make_up_but_for_who_builds_and_who_shows() -> None:
    def config(name: str) -> dict[str, Any]:
        return yaml.safe_load((ROOT / "stacks" / f"Pulumi.{name}.yaml").read_text())["config"]

    mine, usual = config(command.STACK), config("local")
    assert mine.pop("modelstack:rollout")["strategy"]["kind"] == "all_at_once", "nobody sends requests"
    del usual["modelstack:rollout"]
    assert {name: mine.pop(name) for name in ("modelstack:pipeline", command.MLFLOW)} == {
        "modelstack:pipeline": {"engine": "sagemaker"},
        command.MLFLOW: {"server": "http://127.0.0.1:5000"},
    }
    assert mine == usual
