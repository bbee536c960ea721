"""Step `compare`: compare the sealed package with the champion, on evaluation rows that neither has seen.

Each answers in its own process, by its own code; the champion's package defines what an answer means for both. If the
challenger was refitted on these rows (see `modelstack.pipeline.refit`), its evaluated estimator answers.

Gives `compared.json`: `comparison` (see `modelstack.pipeline.comparison.Comparison.as_dict`), or null and `why`: no
champion was given, or the two cannot be compared. Neither is a failure: the gate decides what follows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelstack.pipeline import archive, step
from modelstack.pipeline.checkout import lay_out, sealed_elsewhere, work_folder
from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.inputs import recipe_in
from modelstack.pipeline.pack import ARCHIVE, sealed_in
from modelstack.pipeline.recipe import canonical
from modelstack.pipeline.step import StepFailed
from modelstack.pipeline.steps import COMPARED, Given

NO_CHAMPION = "no champion was given, as in each update: that compares the two on live requests"


def main(given: Given) -> None:
    """Run the step."""
    champion = given.folders.get("champion")
    said = _none(NO_CHAMPION) if champion is None else _against(champion / ARCHIVE, given)
    print(said["why"] or f"compared on {said['comparison']['rows']:,} rows")
    (given.out / COMPARED).write_text(canonical(said))


def _against(champion: Path, given: Given) -> dict[str, Any]:
    try:
        manifest = archive.verify(champion, given.texts["champion_digest"] or "none was given").content
    except (archive.ArchiveError, FileNotFoundError) as error:
        raise Refusal(f"the champion's archive is refused, nothing of it was run: {error}") from None
    if differs := sealed_elsewhere(manifest, given.root):
        return _none(differs)
    parameters = recipe_in(given.folders["data"]).parts["parameters"]
    with work_folder(given.out, "compared") as folder:
        before, after = folder / "champion", folder / "challenger"
        archive.unpack(champion, before)
        archive.unpack(sealed_in(given.folders["seal"]).path, after)
        lay_out(before / "code" / "model", folder / "root", given.root, given.folders.get("raw_data"))
        asked = ["--parameters", parameters, "--answer", str(before)]
        try:
            one = _answered(folder / "root", before, asked)
            return _compared(one, _answered(given.root, after, [*asked, "--evaluated"]))
        except StepFailed as error:
            return _none(str(error))


def _none(why: str) -> dict[str, Any]:
    return {"comparison": None, "why": why}


def _answered(root: Path, sealed: Path, asked: list[str]) -> Mapping[str, Any]:
    out, whose = sealed.with_suffix(".answered.json"), f"comparing, the {sealed.name}"
    step.run(
        root, "modelstack.pipeline.answered", [*asked, "--model", str(sealed), "--out", str(out)], print, name=whose
    )
    return json.loads(out.read_text())


def _compared(champion: Mapping[str, Any], challenger: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415  only needed if there is something to compare

    from modelstack.pipeline.comparison import compare  # noqa: PLC0415

    if any(champion[name] != challenger[name] for name in ("loss", "rows", "days")):
        why = "champion and challenger did not answer the same rows: model/data.py gives each others to evaluate on"
        return _none(why)
    found = compare(
        champion["loss"],
        champion=np.array(champion["losses"], np.float64),
        challenger=np.array(challenger["losses"], np.float64),
        times=None if champion["days"] is None else np.array(champion["days"], "datetime64[D]"),
    )
    return {"comparison": found.as_dict(), "why": ""}
