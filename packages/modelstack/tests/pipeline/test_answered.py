from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelstack.pipeline import archive, step
from modelstack.pipeline.answered import segments
from modelstack.pipeline.build import SealedPackage
from modelstack.pipeline.checkout import lay_out
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.step import StepFailed
from tests.process import ROOT


def answered(sealed: SealedPackage, folder: Path, **parameters: Any) -> dict[str, Any]:
    archive.unpack(sealed.path, folder / "sealed")
    lay_out(folder / "sealed" / "code" / "model", folder / "root", ROOT)
    given = {**json.loads((folder / "sealed" / "manifest.json").read_bytes())["parameters"], **parameters}
    asked = ["--parameters", canonical(given), "--model", str(folder / "sealed"), "--out", str(folder / "out.json")]
    step.run(folder / "root", "modelstack.pipeline.answered", ["--evaluated", "--details", *asked], lambda _: None)
    return json.loads((folder / "out.json").read_text())


def test_each_row_has_its_name_its_day_its_loss_and_what_was_decided(champion: SealedPackage, tmp_path: Path) -> None:
    found = answered(champion, tmp_path)
    rows = len(found["keys"])
    assert rows == len(set(found["keys"])) > 100
    for name in ("days", "losses", "labels", "decisions", "scores", "hits", *found["segments"]):
        values = found.get(name) or found["segments"][name]
        assert len(values) == rows, name
    assert found["loss"] == "log_loss"
    scores = np.array(found["scores"])
    assert found["losses"] == pytest.approx(-np.log(np.where(found["hits"], scores, 1 - scores)))
    assert found["hits"] == [label == max(found["labels"]) for label in found["labels"]]


def test_rows_that_it_has_seen_are_refused(champion: SealedPackage, tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="would seem better than it is"):
        answered(champion, tmp_path, until=12)


def test_texts_are_told_apart_by_the_frequent_ones() -> None:
    values = np.array(["a"] * 9 + list("bcdefghijk") * 2 + [None], object)
    found = segments(values)
    assert (found[0], found[-1]) == ("a", "missing")
    assert len(set(found)) == 8 + 2 and "other" in found


def test_numbers_are_told_apart_by_their_thirds_and_few_ones_by_themselves() -> None:
    found = segments(np.array([*range(300), np.nan]))
    assert [found[0], found[150], found[299], found[300]] == [
        *("up to 99.67", "99.67 to 199.3", "above 199.3", "missing")
    ]
    assert [found.count(name) for name in dict.fromkeys(found)] == [100, 100, 100, 1]
    assert set(segments(np.array([1.0, 2.0, 2.0]))) == {"1", "2"}
