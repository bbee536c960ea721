"""Packages that were sealed before the library was one package import it by the names of that time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.process import python

OLD = """
import pickle, sys
from modelstack.serving import former_names
former_names.install()
from serving.sealed import Sealed
import serving.answers
from pipeline.contract import Refusal
import modelstack.pipeline.contract, modelstack.serving.sealed
assert Sealed is modelstack.serving.sealed.Sealed and Refusal is modelstack.pipeline.contract.Refusal
assert serving.answers is modelstack.serving.answers
assert pickle.loads(b"cserving.sealed\\nSealed\\n.") is Sealed
print(modelstack.serving.sealed.__spec__.name, len([1 for one in sys.modules if one.endswith("serving.sealed")]))
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return python("-c", code, cwd=folder)


@pytest.mark.slow
def test_a_module_has_one_copy_by_both_names(tmp_path: Path):
    (tmp_path / "serving" / "__pycache__").mkdir(parents=True)  # what a checkout keeps when its sources have moved
    done = run(OLD, tmp_path)
    assert (done.stdout.strip(), done.stderr) == ("modelstack.serving.sealed 2", "")


@pytest.mark.slow
def test_a_package_of_the_models_own_has_priority(tmp_path: Path):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("OWN = 1\n")
    (tmp_path / "pipeline" / "words.py").write_text("OWN = 2\n")
    code = "from modelstack.serving import former_names as f; f.install(); import pipeline, pipeline.words as w"
    done = run(f"{code}; print(pipeline.OWN, w.OWN)", tmp_path)
    assert (done.stdout, done.stderr) == ("1 2\n", "")


@pytest.mark.slow
def test_what_the_image_has_not_is_reported_by_its_name_of_today(tmp_path: Path):
    code = "import modelstack.serving.former_names as f; f.install(); import serving.nothing"
    assert "No module named 'modelstack.serving.nothing'" in run(code, tmp_path).stderr
