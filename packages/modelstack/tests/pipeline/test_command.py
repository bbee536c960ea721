from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelstack.pipeline.__main__ import main
from modelstack.pipeline.documents import key_at
from modelstack.pipeline.outline import listed
from modelstack.pipeline.recipe import recipe
from modelstack.records.provenance.key_pair import KeyPair
from tests.small import SMALL

ROOT = Path(__file__).resolve().parents[4]
Checkout = Callable[[str], Path]


@pytest.fixture
def own_key(tmp_path: Path) -> Path:
    KeyPair.made(tmp_path / "own.pem")
    return tmp_path / "own.pem"


def test_recipe_prints_the_digest_and_its_parts(capsys: pytest.CaptureFixture[str]):
    assert main(["recipe", "--root", str(ROOT), "--parameters", '{"max_iter": 61}']) == 0
    wanted = recipe(ROOT, {"max_iter": 61})
    assert json.loads(capsys.readouterr().out) == {"digest": wanted.digest, **wanted.parts}


def test_build_prints_what_was_sealed_and_refuses_by_status(sealed, capsys: pytest.CaptureFixture[str]):
    words = ["build", "--root", str(ROOT), "--workdir", str(sealed.path.parents[3]), "--parameters", json.dumps(SMALL)]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == sealed.digest
    assert main([*words, "--gates", '{"auc": {"min": 1}}']) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "min 1" in said.err


@pytest.mark.parametrize(
    ("given", "told"),
    [("{'max_iter': 61}", "is not JSON: Expecting property name"), ("[]", "'[]' is not a JSON object, such as {}")],
)
def test_parameters_that_are_no_object_in_json_are_refused_in_words(
    capsys: pytest.CaptureFixture[str], given: str, told: str
):
    with pytest.raises(SystemExit, match="2"):
        main(["recipe", "--root", str(ROOT), "--parameters", given])
    assert told in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed:
        command = [sys.executable, "-m", "modelstack.pipeline", "check"]
        done = subprocess.run(command, cwd=ROOT, stdout=closed, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


def test_inspect_checks_an_archive_and_prints_its_manifest(sealed, capsys: pytest.CaptureFixture[str]):
    assert main(["inspect", str(sealed.path)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["digest"], shown["recipe"]) == (sealed.digest, sealed.recipe)
    assert shown["metrics"] == dict(sealed.metrics)
    assert shown["fast_form"]["proven_on"] > shown["metrics"]["rows"] + 10_000
    assert shown["fast_form"]["largest_difference"] == 1e-12
    assert "model.onnx" in shown["files"]


def test_inspect_of_something_else_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("no archive")
    assert main(["inspect", str(tmp_path / "file")]) == 1
    assert "is not a model archive" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "missing")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_check_tells_of_a_library_that_is_not_locked(checkout: Checkout, capsys: pytest.CaptureFixture[str]):
    root = checkout("checkout")
    source = root / "model" / "sources.py"
    source.write_text(
        source.read_text() + "\n\ndef read(path):\n    import polars\n\n    return polars.read_parquet(path)\n"
    )
    assert main(["check", "--root", str(root)]) == 1
    assert "does not lock polars, which model/sources.py imports" in capsys.readouterr().err


def test_check_shows_what_there_is_or_tells_each_problem_and_a_status(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
):
    root = checkout("checkout")
    assert main(["check", "--root", str(root)]) == 0
    assert capsys.readouterr().out == listed(root) + "\n"
    (root / "model" / "training.py").unlink()
    assert main(["check", "--root", str(root)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "  - model/training.py: not found; expected a file with train(rows, settings)" in said.err


def test_the_project_is_found_from_a_folder_inside_it(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    root = checkout("checkout")
    for with_file in (False, True):  # an image that trains has none
        monkeypatch.chdir(root / "model" if with_file else root)
        if with_file:
            (root / "Pulumi.yaml").touch()
        assert main(["check"]) == 0
        assert capsys.readouterr().out == listed(root) + "\n"


@pytest.mark.slow
def test_example_prints_a_request_out_of_the_training_rows(wine: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["example", "--root", str(wine)]) == 0
    (instance,) = json.loads(capsys.readouterr().out)["instances"]
    assert instance["alcohol"] == 14.23


def test_build_signs_what_it_says_and_verify_refuses_what_was_changed(
    sealed, own_key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["build", "--root", str(ROOT), "--workdir", str(sealed.path.parents[3]), "--parameters", json.dumps(SMALL)]
    assert main([*words, "--key", str(own_key)]) == 0
    told = Path(json.loads(capsys.readouterr().out)["documents"])
    first = {path.name: path.read_bytes() for path in told.iterdir()}
    assert set(first) == {
        *("bom.cdx.json", "card.md", "card.sagemaker.json", "facts.json"),
        *("key.pub", "model.sig", "provenance.sigstore.json"),
    }
    assert main([*words, "--key", str(own_key)]) == 0
    capsys.readouterr()
    unsigned = [name for name in first if not name.endswith((".sig", ".sigstore.json"))]
    assert {name: (told / name).read_bytes() for name in unsigned} == {name: first[name] for name in unsigned}
    (tmp_path / "key.pub").write_bytes(first["key.pub"])
    checked = ["verify", str(sealed.path), "--key", str(tmp_path / "key.pub")]
    assert main(checked) == 0
    assert json.loads(capsys.readouterr().out)["package"]["digest"] == sealed.digest
    changed = tmp_path / "model.tar.gz"
    changed.write_bytes(sealed.path.read_bytes() + b"\0")
    assert main(["verify", str(changed), "--key", str(tmp_path / "key.pub"), "--documents", str(told)]) == 1
    assert f"the model signature is of {sealed.digest}" in capsys.readouterr().err
    os.mkfifo(told / "pipe")
    assert main(checked) == 1
    assert "pipe is no file" in capsys.readouterr().err
    (told / "pipe").unlink()
    assert main([*checked[:3], str(told)]) == 1
    assert "is a folder, expected a file" in capsys.readouterr().err
    (told / "card.md").write_text("# Another card")
    assert main(checked) == 1
    assert "card.md has sha256" in capsys.readouterr().err


def test_a_key_is_made_at_its_first_use(own_cache: Path):
    key = key_at(None)
    assert (own_cache / "signing-key.pem").stat().st_mode & 0o777 == 0o600
    assert key_at(None).public_key == key.public_key
