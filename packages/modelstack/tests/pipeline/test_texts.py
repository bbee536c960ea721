from __future__ import annotations

import json
from pathlib import Path

import pytest

from modelstack.pipeline import outcome
from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.steps import INPUTS, PIPELINE, function
from modelstack.pipeline.texts import wrong
from modelstack.platforms.package_locations import read
from tests.process import python

ROOT = Path(__file__).resolve().parents[4]
KUBERNETES = {
    **{"platform": "kubernetes", "context": "", "namespace": "models", "prefix": "flight-delay-dev", "name": "v1"},
    **{"registry": "registry.example:5000/models", "bucket": None, "image_uri": "registry.example/serve:v1"},
}


@pytest.mark.parametrize("one", [one for one in INPUTS if one.kind == "text"], ids=lambda one: one.name)
def test_every_text_has_a_reader_which_its_default_fits_unless_it_has_to_be_given(one):
    read_text = function(one.reader)
    if one.required and one.of is None:
        with pytest.raises(Refusal, match=f"^{one.name}"):
            read_text(one.name, one.default)
    else:
        read_text(one.name, one.default)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("min_gain", "much", "min_gain: 'much' is not allowed: expected a number, or nothing"),
        ("min_gain", "inf", "min_gain: 'inf' is not allowed: expected a number, or nothing"),
        ("through", "2013-W01-1", "through: '2013-W01-1' is not allowed: expected a day as YYYY-MM-DD, or nothing"),
        ("recipe", "abc", "recipe: 'abc' is not allowed: expected 64 hexadecimal digits, or nothing"),
        ("code_digest", "abc", "code_digest: 'abc' is not allowed: expected sha256:<64 hexadecimal digits>, or"),
        ("gates", "[]", "gates: '[]' is not allowed: expected a JSON object, such as {}"),
        ("gates", '{"auc": 0.6}', "gates.auc: 0.6 is not allowed: expected min, max, or both, each a number"),
        ("source", '{"commit": 7}', "source: '{\"commit\": 7}' is not allowed: expected commit and remote, texts, and"),
        ("lineage", '{"a": 1}', "lineage.a: 1 is not allowed: expected a text"),
        ("lineage", '{"a#": ""}', "lineage: 'a#' is not allowed: expected names of 1 to 63 letters, digits"),
    ],
)
def test_a_wrong_text_is_told_with_its_name_its_value_and_what_is_allowed(name: str, text: str, told: str):
    (line,) = wrong([one for one in INPUTS if one.name == name], {name: text}, {"code", "champion"})
    assert line.startswith(told)


def test_all_fields_of_a_place_are_told_at_once_and_a_right_one_is_taken():
    assert read("place", json.dumps(KUBERNETES)) == KUBERNETES
    other = KUBERNETES | {"namespace": "Models", "registry": "https://r", "bucket": {"name": "B"}, "more": 1}
    del other["prefix"]
    with pytest.raises(Refusal) as told:
        read("place", json.dumps(other))
    assert [line.partition(":")[0] for line in str(told.value).splitlines()] == [
        *("place.namespace", "place.registry", "place.more", "place.prefix"),
        *("place.bucket.name", "place.bucket.region"),
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"platform": "nowhere"}, "place.platform: 'nowhere' is not allowed: expected aws or kubernetes"),
        ({}, "place: missing; expected where the package is registered and who signs it"),
        ({"platform": "aws", "region": "us-east-1"}, "place.signing_key: missing; expected a key of KMS: its ARN"),
    ],
)
def test_a_place_that_cannot_be_understood_is_refused_in_words(given: dict[str, str], said: str):
    lines = wrong([one for one in INPUTS if one.name == "place"], {"place": json.dumps(given)}, ())
    assert any(line.startswith(said) for line in lines), lines


def step(name: str, folder: Path, *words: str) -> list[str]:
    """The lines of a step's refusal, as a container runs it."""
    for other in PIPELINE.steps_of(PIPELINE.step(name)):
        words += ("--in", f"{other}={folder / other}")
    done = python("-m", "modelstack.pipeline.run", name, *words, "--out", str(folder / "out"))
    assert done.returncode == 4, done.stderr
    assert not (folder / "out").exists()
    return json.loads(done.stderr.splitlines()[-1]).splitlines()


@pytest.mark.slow
def test_a_step_asks_for_all_that_it_takes_before_it_begins(tmp_path: Path):
    for name in ("data", "seal", "compare", "champion"):
        (tmp_path / name).mkdir()
    assert step("gate", tmp_path, "--set", "min_gain=much", "--set", 'gates={"auc": {}}') == [
        "gates.auc: {} is not allowed: expected min, max, or both, each a number",
        "min_gain: 'much' is not allowed: expected a number, or nothing",
    ]
    champion = ("--in", f"champion={tmp_path / 'champion'}", "--in", f"code={tmp_path / 'nowhere'}")
    assert step("compare", tmp_path, *champion) == [
        f"code: there is no folder {tmp_path / 'nowhere'}",
        "champion_digest: missing; expected sha256:<hex> of the package in `champion`, as champion is given",
    ]
    (settings := tmp_path / "settings.json").write_text('{"gates": {"auc": {"min": 0.6}}}')
    assert step("gate", tmp_path, "--settings", str(settings)) == [
        "--settings: gates: {'auc': {'min': 0.6}} is not allowed: expected a text"
    ]


@pytest.mark.slow
def test_a_step_that_waits_for_a_verdict_refuses_one_that_did_not_pass_whatever_engine_starts_it(tmp_path: Path):
    for name in ("seal", "gate"):
        one, folder = PIPELINE.step(name), tmp_path / name
        folder.mkdir()
        for file in (*one.gives, *one.beside):
            (folder / file).write_text('{"passed": false}')
        outcome.record(one, folder, {})
    (why,) = step("sign", tmp_path, "--set", f"place={json.dumps(KUBERNETES)}")
    assert why == "the verdict.json of gate did not pass: sign runs only if it does"


def test_the_page_on_kubeflow_tells_of_everything_that_a_run_can_be_given():
    page = (ROOT / "docs/how-to/kubeflow.md").read_text()
    assert [one.name for one in INPUTS if f"\n| `{one.name}` | {one.kind} |" not in page] == []
