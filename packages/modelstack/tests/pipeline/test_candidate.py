from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelstack.pipeline import answered, archive
from modelstack.pipeline.build import SealedPackage, build
from modelstack.pipeline.candidate import Job, JobError
from modelstack.pipeline.recipe import recipe
from modelstack.platforms.aws.clients import Clients
from tests.pipeline.conftest import IMAGE, OWN_SERVER, append, appending, checkout_of, resealed

ROOT = Path(__file__).resolve().parents[4]
BEFORE_THE_TURN, AFTER_THE_TURN = "2013-01-29", "2013-02-20"


def versions(clients: Clients, group: str) -> list[dict[str, Any]]:
    return clients("sagemaker").list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]


def test_a_challenger_that_learned_the_turn_is_better_and_is_registered_for_approval(
    run, daily: Path, champion: SealedPackage, clients: Clients, place: str
):
    report = run(AFTER_THE_TURN)
    assert report.outcome == "better", report.why
    assert report.changes == {"until": 43}
    assert report.recipe == recipe(daily, {"until": 43}).digest, "what the plan would want with these parameters"
    found = report.comparison
    assert (found.loss, found.rows, found.days, found.since, found.until) == (
        *("log_loss", 1400, 7, "2013-02-13", "2013-02-20"),
    )
    assert 0 < found.low < found.gain < found.high
    package = clients("sagemaker").describe_model_package(ModelPackageName=report.package.model_package_arn)
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["InferenceSpecification"]["Containers"][0]["Image"] == IMAGE
    lineage = package["CustomerMetadataProperties"]
    assert lineage["recipe"] == report.recipe
    assert lineage["retrained_from"] == champion.digest
    assert lineage["retrained_through"] == AFTER_THE_TURN
    assert lineage["retrained_report"] == f"s3://{place}/retraining/j/report.json"


def test_the_same_job_again_has_the_same_bytes_and_registers_nothing_more(run, clients: Clients, place: str):
    first, second = run(AFTER_THE_TURN), run(AFTER_THE_TURN)
    assert first == second
    assert len(versions(clients, place)) == 1


def test_a_challenger_that_knows_nothing_new_of_the_concept_is_not_better(run, clients: Clients, place: str):
    report = run(BEFORE_THE_TURN)
    assert report.outcome == "not_better"
    assert report.package is None
    assert report.comparison is not None
    found = report.comparison
    assert report.why == (
        f"log_loss {found.challenger:.4f}, the champion's {found.champion:.4f}, on 1,400 rows of 7 days: gain "
        f"{found.gain:.4f}, 95% interval {found.low:.4f} to {found.high:.4f}; more than 0 is asked for, beyond doubt"
    )
    assert versions(clients, place) == []


def test_a_challenger_below_its_gates_is_refused_with_their_table(run, clients: Clients, place: str):
    report = run(AFTER_THE_TURN, gates={"accuracy": {"min": 0.99}})
    assert (report.outcome, report.package) == ("refused", None)
    assert "accuracy  0." in report.why
    assert "min 0.99" in report.why
    assert report.recipe is not None
    assert versions(clients, place) == []


OWN_FILES = """
from pathlib import Path

def files():
    return {"turn.txt": Path(__file__).resolve().parents[1] / "data" / "turn.txt"}
"""


def reads_a_file(inside: Path) -> None:
    """The small model, which reads the day of the turn from the team's own data."""
    append(inside / "code/model/sources.py", OWN_FILES)
    append(
        inside / "code/model/data.py", "from model import sources\nTURNS = int(sources.files()['turn.txt'].read_text())"
    )


def test_a_retraining_reads_the_files_of_the_checkouts_data_folder(run, champion, tmp_path: Path, monkeypatch):
    checkout = checkout_of(ROOT / "packages/modelstack/tests/pipeline/daily", tmp_path / "image")
    monkeypatch.chdir(checkout)
    sealed = resealed(champion, tmp_path, reads_a_file)
    report = run(AFTER_THE_TURN, sealed)
    assert report.outcome == "refused"
    assert "model/sources.py names turn.txt, and there is no file" in report.why
    (checkout / "data").mkdir()
    (checkout / "data/turn.txt").write_text("30")
    report = run(AFTER_THE_TURN, sealed)
    assert report.outcome == "better", report.why


def test_a_day_without_newer_data_trains_nothing(run):
    said: list[str] = []
    report = run("2013-01-28", said=said.append)
    assert (report.outcome, report.recipe) == ("nothing_new", None)
    assert report.why == ("through: '2013-01-28' is not allowed: the model knows all that it can know on that day")
    assert not any("to train on" in line for line in said)


def test_changed_bytes_of_the_champion_are_refused_before_anything_of_it_runs(run, champion, tmp_path: Path):
    def spoil(inside: Path) -> None:
        (inside / "code/model/parameters.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit(3)\n")

    other = resealed(champion, tmp_path / "other", spoil)
    said: list[str] = []
    for wrong in (replace(other, digest=champion.digest), replace(other, manifest_sha256=champion.manifest_sha256)):
        with pytest.raises(JobError, match="the champion's archive is refused, nothing of it was run"):
            run(AFTER_THE_TURN, wrong, said.append)
    assert said == []
    assert not (tmp_path / "ran").exists()


def test_an_estimator_that_is_not_the_sealed_one_is_not_loaded(champion, tmp_path: Path, monkeypatch):
    archive.unpack(champion.path, tmp_path / "sealed")
    monkeypatch.setattr(answered.parts, "load", lambda path: pytest.fail("it was loaded"))
    manifest = json.loads((tmp_path / "sealed/manifest.json").read_text())
    (tmp_path / "sealed/model.joblib").write_text('{"above": 1, "below": 0}')
    with pytest.raises(ValueError, match="is not what the manifest names"):
        answered.estimator_of(tmp_path / "sealed/model.joblib", manifest)


def test_a_champion_that_has_seen_the_rows_to_compare_on_is_not_compared_and_nothing_is_registered(
    run, champion, clients: Clients, place: str, tmp_path: Path
):
    def later(inside: Path) -> None:
        metrics = json.loads((inside / "metrics.json").read_text())
        metrics["training"]["last_label"] = "2013-02-15T00:00:00"
        (inside / "metrics.json").write_text(json.dumps(metrics))

    report = run(AFTER_THE_TURN, resealed(champion, tmp_path, later))
    assert (report.outcome, report.comparison) == ("refused", None)
    assert "the champion refused: the rows to compare on start 2013-02-13T00:00:00, and " in report.why
    assert "was trained on what was known by 2013-02-15T00:00:00 (UTC)" in report.why
    assert versions(clients, place) == []


def test_rows_without_times_are_told_apart_by_their_names(run, daily: Path):
    timeless = build(daily, recipe(daily, {"timed": False}), progress=lambda _: None)
    report = run(AFTER_THE_TURN, timeless)
    assert report.outcome == "better"
    assert (report.comparison.rows, report.comparison.days, report.comparison.since) == (1400, None, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("serving.py", OWN_SERVER.replace("{status}", "200") + "del predict"),
            "found no predict; expected predict(model, rows)",
        ),
        (
            ("serving.py", "def predict(model, rows):\n    return {'late': [True]}"),
            "predict returned 1 values of late for 1,400 rows",
        ),
        (("parameters.py", "del retrained"), "parameters.py has no retrained"),
        (("parameters.py", "def retrained(*_):\n    return {'until': 99}"), "until: 99 is not allowed"),
        (("training.py", "def train(*_):\n    raise RuntimeError('no luck')"), "train failed: RuntimeError: no luck"),
    ],
)
def test_what_the_model_lacks_for_a_retraining_is_a_refusal_in_words(
    run, champion, tmp_path: Path, change: tuple[str, str], said: str
):
    report = run(AFTER_THE_TURN, resealed(champion, tmp_path, appending(*change)))
    assert report.outcome == "refused"
    assert said in report.why


def test_other_libraries_than_the_champions_are_refused_before_anything_of_it_runs(run, champion, tmp_path: Path):
    def older(inside: Path) -> None:
        manifest = json.loads((inside / "manifest.json").read_text())
        manifest["libraries"]["joblib"] = "0.1"
        (inside / "manifest.json").write_text(json.dumps(manifest))

    said: list[str] = []
    with pytest.raises(JobError, match=r"other versions here of joblib: retrain with the image of"):
        run(AFTER_THE_TURN, resealed(champion, tmp_path, older), said.append)
    assert said == []


GIVEN = {
    "through": "2013-02-20",
    "champion": json.dumps(dict.fromkeys(("package_digest", "manifest_sha256", "archive_uri", "image_uri"), "x")),
    "gates": "{}",
    **{"bucket": "b", "group": "g", "region": "us-east-1", "signing_key": "k"},
    **{"report": "r.json", "min_gain": "-0.01"},
}


def test_hyperparameters_are_read_from_their_texts():
    read = Job.from_dict({**GIVEN, "gates": '{"auc": {"min": 0.6}}'})
    assert (read.through, read.min_gain, read.gates) == ("2013-02-20", -0.01, {"auc": {"min": 0.6}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"through": ""}, "through missing"),
        ({"champion": "{"}, "expected JSON in champion and gates"),
        ({"champion": "[]"}, "expected JSON in champion and gates"),
        ({"champion": '{"package_digest": "x"}'}, "champion lacks manifest_sha256, archive_uri, image_uri"),
        ({"gates": '{"auc": 0.6}'}, "expected JSON in champion and gates"),
        ({"gates": '{"auc": {"least": 0.6}}'}, "expected min, max, or both"),
        ({"min_gain": "much"}, "a number in min_gain"),
        ({"min_gain": "nan"}, "min_gain is nan"),
    ],
)
def test_wrong_hyperparameters_are_named(change: dict[str, str], said: str):
    with pytest.raises(JobError, match="hyperparameters: ") as refused:
        Job.from_dict({**GIVEN, **change})
    assert said in str(refused.value)
