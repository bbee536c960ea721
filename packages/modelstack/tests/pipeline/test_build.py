from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from modelstack.pipeline import archive
from modelstack.pipeline.build import GateRefused, StepFailed, build, shared
from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.pack import SealedPackage
from modelstack.pipeline.project import SOURCES
from modelstack.pipeline.recipe import recipe
from tests.pipeline.conftest import append
from tests.process import printed, python
from tests.small import SMALL

pytestmark = pytest.mark.e2e  # each trains a real model, or takes apart what one left behind

ROOT = Path(__file__).resolve().parents[4]
Checkout = Callable[[str], Path]


@pytest.fixture
def root(own_daily: Path) -> Path:
    return own_daily


def command(workdir: Path, parameters: Mapping[str, Any]) -> list[str]:
    given = ["--workdir", str(workdir), "--parameters", json.dumps(parameters)]
    return ["-m", "modelstack.pipeline", "build", *given]


def built(root: Path, **environment: str) -> dict:
    """Build the model of flights in a checkout by its own command, without earlier outcomes."""
    done = python(*command(root / "work", SMALL), cwd=root, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def copy_of(sealed: SealedPackage, workdir: Path) -> Path:
    """A work folder with the outcomes of the small model."""
    return Path(shutil.copytree(sealed.path.parents[1], workdir / "packages" / sealed.recipe))


def workdir_of(sealed: SealedPackage) -> Path:
    return sealed.path.parents[3]


def steps(said: list[str]) -> list[str]:
    return list(dict.fromkeys(line.partition(":")[0] for line in said))


def small(root: Path, progress: Callable[[str], None], workdir: Path, **more: Any) -> SealedPackage:
    return build(root, recipe(root, {}), workdir=workdir, progress=progress, **more)


def test_two_checkouts_in_two_folders_seal_the_same_bytes(checkout: Checkout, sealed: SealedPackage):
    second = checkout("a second/checkout")
    for path in second.rglob("*.py"):
        os.utime(path, (0, 0))
        path.chmod(0o755)
    other = built(second, PYTHONHASHSEED="2", OMP_NUM_THREADS="3", TZ="Asia/Tokyo", LC_ALL="C")
    assert other["recipe"] == sealed.recipe
    assert other["digest"] == sealed.digest
    assert Path(other["path"]).read_bytes() == sealed.path.read_bytes()
    assert Path(other["path"]).is_relative_to(second)
    assert not sealed.path.is_relative_to(second)


def test_a_checkout_takes_what_another_with_the_same_pipeline_has_built_and_trains_for_one_with_another(
    daily: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    other = Path(shutil.copytree(daily, tmp_path / "other"))
    said: list[str] = []
    first = build(daily, recipe(daily, {}), progress=said.append)
    assert any("sealed" in line for line in said)
    said.clear()
    assert (build(other, recipe(other, {}), progress=said.append), said) == (first, [])
    changed = tmp_path / "sources"
    shutil.copytree(SOURCES / "modelstack/pipeline", changed / "modelstack" / "pipeline")
    append(changed / "modelstack" / "pipeline" / "train.py", "# another pipeline\n")
    monkeypatch.setattr("modelstack.pipeline.build.shared", lambda: shared(changed))
    another = build(other, recipe(other, {}), progress=said.append)
    assert (another.digest, another.path == first.path) == (first.digest, False), "trained twice, the same bytes"
    assert any("sealed" in line for line in said)
    assert another.path.is_relative_to(own_cache)


def test_who_builds_loads_no_library_since_each_step_has_a_process_of_its_own():
    code = "import sys, modelstack.pipeline.build; print({'numpy', 'pandas', 'sklearn'} & sys.modules.keys())"
    assert printed(code) == "set()"


def test_packages_that_were_not_used_for_long_leave_the_users_cache(
    daily: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    kept = [own_cache / "pipeline-old" / "packages" / name for name in ("oldest", "older")]
    for age, folder in zip((2000, 1000), kept, strict=True):
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age,) * 2)
    monkeypatch.setattr("modelstack.pipeline.build.MOST_KEPT", 2)
    sealed = build(daily, recipe(daily, {}), progress=lambda _: None)
    assert [folder.exists() for folder in (*kept, sealed.path)] == [False, True, True]


def test_the_archive_holds_the_model_as_it_was_trained(sealed):
    manifest = archive.verify(sealed.path, sealed.digest)
    assert manifest.sha256 == sealed.manifest_sha256
    content = manifest.content
    assert content["recipe"] == sealed.recipe == recipe(ROOT, SMALL).digest
    assert content["parameters"] == recipe(ROOT, SMALL).parameters
    assert content["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert content["libraries"].keys() >= {"numpy", "onnxruntime"}
    assert content["trained_with"].keys() >= {"scikit-learn", "skl2onnx"}
    assert archive.read(sealed.path, "code/model/serving.py") == (ROOT / "model/serving.py").read_bytes()
    assert content["server"] == "usual"


def test_a_refusal_names_its_numbers_and_other_gates_need_no_new_training(
    daily: Path, champion: SealedPackage, tmp_path: Path
):
    copy_of(champion, tmp_path / "work")
    workdir, said = tmp_path / "work", []
    with pytest.raises(GateRefused, match=r"accuracy +0\.\d{4} +min 0\.99") as refused:
        small(daily, said.append, workdir, gates={"accuracy": {"min": 0.99}})
    assert refused.value.misses[0].value == champion.metrics["accuracy"]
    assert small(daily, said.append, workdir, gates={"accuracy": {"min": 0.5}}).digest == champion.digest
    assert steps(said) == ["gate"]


def test_a_build_that_was_killed_between_steps_goes_on_without_training(
    daily: Path, champion: SealedPackage, tmp_path: Path
):
    folder = copy_of(champion, tmp_path / "work")
    for name in ("seal", "evaluate"):
        shutil.rmtree(folder / name)
    (folder / "evaluate.partial").mkdir()
    (folder / "evaluate.partial" / "metrics.json").write_text("{")
    said: list[str] = []
    assert small(daily, said.append, tmp_path / "work").digest == champion.digest
    assert steps(said) == ["evaluate", "seal"], "and it was judged before"


def test_a_build_that_is_killed_leaves_no_training_behind(root: Path):
    append(root / "model/training.py", "\ndef train(*_):\n    import time; time.sleep(1000)\n")
    process = subprocess.Popen(
        [sys.executable, *command(root / "work", {})], cwd=root, stderr=subprocess.PIPE, text=True
    )
    assert next((line for line in process.stderr if "fit a sample" in line), "")
    (step,) = children(process.pid)
    while not (fits := children(step)):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    deadline = time.monotonic() + 100
    while any(map(alive, (step, *fits))):
        assert time.monotonic() < deadline, "the step or its fit of a sample outlived the build"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_two_builds_at_once_train_once(daily: Path, tmp_path: Path):
    said: list[str] = []
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(small(daily, said.append, tmp_path / "work").digest))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert len(set(results)) == 1
    assert sum("to train on" in line for line in said) == 1
    assert "another process builds the same model: waiting for it" in said


def refusal(root: Path, name: str, text: str) -> str:
    """Why a build is refused after appending text to a file of the model."""
    append(root / "model" / name, text)
    with pytest.raises(StepFailed) as refused:
        build(root, recipe(root, {}), workdir=root / "work", progress=lambda _: None)
    return str(refused.value)


def test_evaluation_that_starts_before_training_ends_is_refused(root: Path):
    path = root / "model/data.py"
    path.write_text(
        path.read_text().replace(
            "return _rows(parameters, parameters.until, parameters.until + EVALUATED)",
            "return _rows(parameters, parameters.until - 1, parameters.until + EVALUATED)",
        )
    )
    said: list[str] = []
    with pytest.raises(StepFailed) as refused:
        build(root, recipe(root, {}), workdir=root / "work", progress=said.append)
    assert not any("to train on" in line for line in said), "it is refused before anything is fitted"
    assert str(refused.value).startswith("train refused: evaluation starts 2013-01-20T00:00:00")
    assert "before training ends 2013-01-20T03:29:00 (UTC)" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "evaluation.py",
            "\nMETRICS = ['auc']\n",
            "model/evaluation.py: evaluate(estimator, rows): found accuracy; expected the names in METRICS, auc",
        ),
        (
            "evaluation.py",
            "\nsummarised = evaluate\ndef evaluate(*given):\n"
            "    return {**summarised(*given), 'accuracy': float('nan')}\n",
            "model/evaluation.py: evaluate(estimator, rows): accuracy: found nan; expected a finite number (a float)",
        ),
        (
            "evaluation.py",
            "\ndef details(*_):\n    return {1, 2}\n",
            "model/evaluation.py: details(estimator, rows): found what is no JSON (Object of type set is not JSON "
            "serializable); expected JSON values",
        ),
    ],
)
def test_what_breaks_the_contract_is_told_in_words(root: Path, name: str, text: str, said: str):
    asked = "refused: the model does not give what docs/how-to/own-model.md asks for"
    assert refusal(root, name, text).partition(" ")[2] == f"{asked}:\n  - {said}"


def test_a_folder_that_breaks_the_contract_is_refused_before_any_step(root: Path):
    wanted = recipe(root, {})
    (root / "model" / "training.py").write_text("def train(\n")
    with pytest.raises(ContractBroken, match=r"model/training\.py: found no Python in line 1"):
        build(root, wanted, workdir=root / "work", progress=pytest.fail)


@pytest.mark.parametrize(("file", "name"), [("serving", "onnxruntime"), ("app", "skl2onnx")])
def test_other_libraries_than_those_locked_are_refused_before_training(root: Path, file: str, name: str):
    lock = root / f"requirements/{file}.txt"
    lock.write_text(lock.read_text().replace(f"{name}==", f"{name}==9."))
    said: list[str] = []
    with pytest.raises(
        StepFailed, match=rf"data refused: .*{file}\.txt locks {name} 9\.\S+, this environment has .*: run `make setup`"
    ):
        build(root, recipe(root, {}), workdir=root / "work", progress=said.append)
    assert steps(said) == ["data"]


def test_a_checkout_that_changes_during_training_is_refused_and_nothing_is_kept(root: Path):
    wanted = recipe(root, {})

    def change(line: str) -> None:
        if "to train on" in line:
            (root / "model/more.py").write_text(line)

    with pytest.raises(StepFailed, match="train refused: the checkout changed while"):
        build(root, wanted, workdir=root / "work", progress=change)
    assert [path.name for path in (root / "work").rglob("train")] == []


def test_a_full_disk_is_told_and_leaves_nothing_half_made(
    daily: Path, champion: SealedPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Python would leave cut bytecode in the checkout, which other tests share, and read it ever after.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    folder = copy_of(champion, tmp_path / "work")
    shutil.rmtree(folder / "seal")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # which the step's process has from this one
    try:
        with pytest.raises(StepFailed, match=r"seal failed: OSError: .*File too large"):
            small(daily, lambda _: None, tmp_path / "work")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (folder / "seal").exists()
    assert small(daily, lambda _: None, tmp_path / "work").digest == champion.digest
