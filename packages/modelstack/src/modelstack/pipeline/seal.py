"""Step `seal`: one archive of the other steps' files and the model's code, its first start, and its origin.

Gives `model.tar.gz` (see `modelstack.pipeline.pack`), `sealed.json` (its digests, metrics and recipe) and, outside of
the digest, `facts.json` of this build (see `modelstack.pipeline.origin`).
"""

from __future__ import annotations

import json
from pathlib import Path

from modelstack.pipeline import archive, origin, outline
from modelstack.pipeline.checkout import work_folder
from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.inputs import recipe_in
from modelstack.pipeline.locks import imported, locked, package_of, to_add
from modelstack.pipeline.pack import ARCHIVE, SEALED, pack
from modelstack.pipeline.recipe import canonical, model_files
from modelstack.pipeline.start import check_start
from modelstack.pipeline.steps import Given


def main(given: Given) -> None:
    """Run the step."""
    recipe, evaluated = recipe_in(given.folders["data"]), given.folders["evaluate"]
    check_served(given.root, evaluated)
    try:
        sealed = pack(given.root, recipe, given.folders["train"], evaluated, given.out / ARCHIVE)
    except archive.ArchiveError as error:
        raise Refusal(str(error)) from None
    with work_folder(given.out, "start") as folder:
        check_start(given.root, sealed, folder)
    told = origin.read_source("source", given.texts["source"])
    origin.write(origin.collect(given.root, recipe, sealed, told), sealed)
    said = {"digest": sealed.digest, "manifest_sha256": sealed.manifest_sha256, "recipe": sealed.recipe}
    (given.out / SEALED).write_text(canonical({**said, "metrics": dict(sealed.metrics)}))
    print(f"sealed {sealed.digest} ({sealed.path.stat().st_size:,} bytes)")


def check_served(root: Path, evaluated: Path) -> None:
    """Refuse a model that the image could not load: without a fast form, if the image lacks joblib or scikit-learn."""
    form = json.loads((evaluated / "metrics.json").read_bytes())["fast_form"]
    if (evaluated / archive.FAST_FORM).exists() or "onnx" in form or outline.loads_itself(root):
        return
    why = form["why_not"]
    plain = why.endswith(archive.OTHER_LIBRARY) and "sklearn" not in imported(model_files(root))
    needed = ["joblib"] if plain else ["joblib", "scikit-learn"]
    boosters = {"lightgbm", "xgboost"} & imported(model_files(root)).keys()
    needed += [package_of(one, locked(root / "requirements" / "app.txt")) or one for one in sorted(boosters)]
    if not {*needed} <= locked(root / "requirements" / "serving.txt").keys():
        raise Refusal(
            f"the model has no fast form (ONNX): {why}. So its server loads the estimator itself: "
            + to_add(
                root / "requirements", "serving", ", ".join(needed[:-1]) + " and " * (len(needed) > 1) + needed[-1]
            )
        )
