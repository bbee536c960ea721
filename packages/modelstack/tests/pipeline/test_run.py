from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from modelstack.pipeline import outcome, step
from modelstack.pipeline.pack import SealedPackage, sealed_in
from modelstack.pipeline.steps import PIPELINE
from tests.process import python

pytestmark = pytest.mark.e2e  # it trains

ROOT = Path(__file__).resolve().parents[4]


def ran(cwd: Path, name: str, work: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a step as a container does, with its inputs in a folder."""
    taken = [word for one in PIPELINE.steps_of(PIPELINE.step(name)) for word in ("--in", f"{one}={work / one}")]
    words = ("-m", "modelstack.pipeline.run", name, *taken, *more, "--out", str(work / name))
    return python(*words, cwd=cwd, PYTHONHASHSEED="7")


@pytest.mark.parametrize("sealed_code", [False, True], ids=["model folder", "package"])
def test_the_steps_one_by_one_give_the_package_that_a_build_gives(
    daily: Path, champion: SealedPackage, tmp_path: Path, sealed_code: bool
) -> None:
    code = tmp_path / "code"
    if sealed_code:
        code.mkdir()
        shutil.copy(champion.path, code)
    else:
        shutil.copytree(daily / "model", code / "model")
    given = ["--in", f"code={code}", *(["--set", f"code_digest={champion.digest}"] if sealed_code else [])]
    for name in ("data", "train", "evaluate", "seal", "compare"):
        done = ran(ROOT, name, tmp_path, *given, *(["--set", f"recipe={champion.recipe}"] if name == "data" else []))
        assert done.returncode == 0, f"{name}: {done.stderr}"
    assert sealed_in(tmp_path / "seal").digest == champion.digest
    assert ran(ROOT, "gate", tmp_path, "--set", 'gates={"accuracy": {"min": 0.99}}').returncode == 0
    verdict = json.loads((tmp_path / "gate" / "verdict.json").read_text())
    assert (verdict["passed"], verdict["outcome"]) == (False, "refused")
    kept = champion.path.parents[1]
    for name in ("data", "train", "evaluate", "seal"):
        assert outcome.read(tmp_path / name).digest == outcome.read(kept / name).digest


def test_a_package_without_its_digest_is_refused_before_anything_of_it_is_run(
    champion: SealedPackage, tmp_path: Path
) -> None:
    (tmp_path / "code").mkdir()
    content = champion.path.read_bytes()
    for digest, there in ((champion.digest, content[:5000] + b"x" + content[5001:]), ("", content)):
        (tmp_path / "code" / "model.tar.gz").write_bytes(there)
        done = ran(ROOT, "data", tmp_path, "--in", f"code={tmp_path / 'code'}", "--set", f"code_digest={digest}")
        assert done.returncode == step.REFUSED
        assert "the package is refused, nothing of it was run" in json.loads(done.stderr.splitlines()[-1])


def test_where_the_code_came_from_is_told_by_who_knows(daily: Path, champion: SealedPackage, tmp_path: Path) -> None:
    kept = champion.path.parents[1]
    for name in ("data", "train", "evaluate"):
        shutil.copytree(kept / name, tmp_path / name)
    commit = "c" * 40
    told = {"commit": commit, "dirty": False, "remote": "https://user:secret@git.example/models.git"}
    done = ran(daily, "seal", tmp_path, "--set", f"source={json.dumps(told)}")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "seal" / "facts.json").read_text())["source"]
    assert found == {"commit": commit, "dirty": False, "remote": "https://git.example/models.git"}
    assert outcome.read(tmp_path / "seal").digest == outcome.read(kept / "seal").digest, "it is in no digest"
    shutil.rmtree(tmp_path / "seal")
    done = ran(daily, "seal", tmp_path, "--set", 'source={"commit": 7}')
    assert done.returncode == step.REFUSED
    assert "expected commit and remote, texts" in json.loads(done.stderr.splitlines()[-1])
