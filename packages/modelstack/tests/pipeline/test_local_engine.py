from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelstack.pipeline import outcome
from modelstack.pipeline.engines import local
from modelstack.pipeline.step import REFUSED, StepFailed
from modelstack.pipeline.steps import Given, Pipeline
from tests.pipeline.toy import Toy, toy
from tests.process import python

pytestmark = pytest.mark.slow  # each starts some processes

RECIPE = {"recipe": "a" * 64}
COMMAND = ("-m", "modelstack.pipeline.run")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setattr(local, "PAUSE_SECONDS", 0.01)
    return toy(tmp_path / "root")


def run(made: Toy, said: list[str] | None = None, texts: Mapping[str, str] = RECIPE, **more: Any) -> dict[str, Any]:
    lines = [] if said is None else said
    keep = made.root / "keep"
    keep.mkdir(exist_ok=True)
    return local.run(made.pipeline, made.root, texts, keep=keep, groups=("build",), progress=lines.append, **more)


def steps(said: list[str]) -> list[str]:
    return list(dict.fromkeys(line.partition(":")[0] for line in said))


def test_each_step_gives_its_outcome_with_digests_of_what_it_is_made_of(made: Toy) -> None:
    said: list[str] = []
    found = run(made, said)
    first, second, third = (outcome.verified(found[name], name) for name in ("first", "second", "third"))
    assert second.made_of == {"first": first.digest, "wish": "{}"}
    assert third.made_of == {"second": second.digest}
    assert said[:2] == ["first: write the word", "first: writing stone"]
    assert steps(said) == ["first", "second", "third"]


def test_what_was_made_of_the_same_stands_and_only_what_depends_on_a_change_is_made_anew(made: Toy) -> None:
    run(made)
    said: list[str] = []
    run(made, said)
    assert steps(said) == ["third"], "which is not kept: it runs each time"
    said.clear()
    run(made, said, {**RECIPE, "wish": '{"passed": true, "of": "another"}'})
    assert steps(said) == ["second", "third"]
    said.clear()
    run(made, said, {**RECIPE, "word": "wood", "wish": '{"passed": true, "of": "another"}'})
    assert steps(said) == ["first", "second", "third"]


def test_where_no_recipe_says_what_the_checkout_holds_its_outcome_is_never_taken_for_another(made: Toy) -> None:
    said: list[str] = []
    run(made, texts={})
    run(made, said, texts={})
    assert steps(said) == ["first", "third"], "the second is made of the same outcome"


def test_what_needs_a_pass_is_skipped_without_one_and_that_is_no_failure(made: Toy) -> None:
    said: list[str] = []
    assert run(made, said, {**RECIPE, "wish": '{"passed": false}'})["third"] is None
    assert steps(said) == ["first", "second"]
    assert not (made.root / "keep" / "third").exists()


def test_a_step_that_fails_is_tried_again_as_often_as_declared_and_then_named_with_its_last_lines(made: Toy) -> None:
    made.second("print('half way'); raise RuntimeError('no luck')")
    said: list[str] = []
    with pytest.raises(StepFailed) as failed:
        run(made, said)
    assert str(failed.value) == "second failed: RuntimeError: no luck\n  its last lines:\n    half way"
    assert (failed.value.step, failed.value.refused, made.tries) == ("second", False, 3)
    assert "second failed: RuntimeError: no luck; it is tried again (2 of 3)" in said
    assert sorted(path.name for path in (made.root / "keep").iterdir()) == ["first", "second.partial"]
    made.second("(given.out / 'verdict.json').write_text('{\"passed\": true}')")
    said.clear()
    run(made, said)
    assert steps(said) == ["second", "third"], "what ran before is kept"


def test_a_step_that_fails_once_is_made_by_another_try_from_an_empty_folder(made: Toy) -> None:
    made.second(
        "(given.out / f'{tries}.txt').touch()\n"
        "    if not tries: raise RuntimeError('not yet')\n"
        "    (given.out / 'verdict.json').write_text('{\"passed\": true}')"
    )
    found = run(made)
    assert sorted(outcome.read(found["second"]).files) == ["1.txt", "verdict.json"]


def test_a_refusal_is_not_tried_again(made: Toy) -> None:
    made.second("raise Refusal('it is below its gates')")
    with pytest.raises(StepFailed) as refused:
        run(made)
    assert (str(refused.value), made.tries) == ("second refused: it is below its gates", 1)


def test_a_step_that_hangs_is_ended_with_what_it_has_started_and_named_with_its_last_lines(made: Toy) -> None:
    child = "[sys.executable, '-c', 'import time; time.sleep(1000)', 'of-the-toy']"
    made.second(f"import subprocess; print('waiting for a lock'); subprocess.Popen({child}).wait()")
    begun = time.monotonic()
    with pytest.raises(StepFailed, match=r"second took longer than 8 s, its time limit, and was ended") as late:
        run(replace(made, pipeline=limited(made.pipeline, "second", 8)))
    assert str(late.value).endswith("its last lines:\n    waiting for a lock")
    assert time.monotonic() - begun < 100, "the process that was started holds the pipe for 1,000 seconds"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", "second refused: it did not write verdict.json, which it should give"),
        ("(given.out / 'folder').mkdir()", "second refused: it wrote folder, which is no file"),
    ],
)
def test_an_outcome_that_is_not_what_was_declared_is_refused(made: Toy, body: str, said: str) -> None:
    made.second(body)
    with pytest.raises(StepFailed, match=said):
        run(made)


@pytest.mark.parametrize("spoiled", ["word.txt", "another.txt", "outcome.json"])
def test_a_kept_outcome_with_another_content_is_noticed_and_made_anew(made: Toy, spoiled: str) -> None:
    found = run(made)
    with (found["first"] / spoiled).open("a") as file:
        file.write("wood")
    said: list[str] = []
    run(made, said)
    assert "first: the kept outcome is damaged and is made anew: " in said[0]
    assert ("its bytes were changed" in said[0]) is (spoiled != "outcome.json")
    assert (found["first"] / "word.txt").read_text() == "stone"
    assert not (found["first"] / "another.txt").exists()


def test_no_step_reads_an_outcome_with_other_digests_whatever_started_it(made: Toy, tmp_path: Path) -> None:
    first = Path(shutil.copytree(run(made)["first"], tmp_path / "first"))
    (first / "word.txt").write_text("wood")
    done = python(*COMMAND, "second", "--in", f"first={first}", "--out", str(tmp_path / "out"), cwd=made.root)
    assert done.returncode == REFUSED
    assert "word.txt has sha256 " in json.loads(done.stderr.splitlines()[-1])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["second", "--out", "x"], "--in first=FOLDER is missing: the step takes first"),
        (["second", "--in", "third=.", "--out", "x"], "'third=.': expected NAME=VALUE, with one of first for a name"),
        (["first", "--set", "words=a", "--out", "x"], "'words=a': expected NAME=VALUE, with one of word, recipe"),
        (["fourth", "--out", "x"], "there is no step 'fourth'; expected one of first, second, third"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_in_words(made: Toy, words: list[str], said: str) -> None:
    done = python(*COMMAND, *words, cwd=made.root)
    assert done.returncode == REFUSED
    assert said in json.loads(done.stderr.splitlines()[-1])


def test_texts_come_from_a_file_too_and_those_on_the_command_line_count(made: Toy, tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"word": "wood", "recipe": "b" * 64, "of another step": "x"}))
    given = ("--settings", str(settings), "--set", f"recipe={RECIPE['recipe']}")
    done = python(*COMMAND, "first", *given, "--out", str(tmp_path / "out"), cwd=made.root)
    assert done.returncode == 0, done.stderr
    assert outcome.verified(tmp_path / "out", "first").made_of == {"word": "wood", **RECIPE}


def test_a_step_that_needs_this_process_runs_in_it_and_what_it_raises_is_raised(made: Toy) -> None:
    given: list[Given] = []

    def third(one: Given) -> None:
        given.append(one)
        (one.out / "told.txt").write_text("told here")

    found = run(made, here={"third": third})
    assert (found["third"] / "told.txt").read_text() == "told here"
    assert given[0].folders == {"second": found["second"]}

    def fails(_: Given) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left") as failed:
        run(made, here={"third": fails})
    assert failed.value.__notes__ == ["third failed"]


def limited(pipeline: Pipeline, name: str, timeout: int) -> Pipeline:
    """The pipeline with this timeout and no retries for one step."""
    changed = replace(pipeline.step(name), timeout=timeout, retries=0)
    return replace(pipeline, steps=tuple(changed if one.name == name else one for one in pipeline.steps))
