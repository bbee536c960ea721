from __future__ import annotations

import json
from typing import Any

import numpy as np

from modelstack.pipeline import archive, example
from modelstack.pipeline.rows import Rows
from modelstack.serving.declaration import Declaration
from modelstack.serving.instances import Reader


def test_the_first_row_that_lacks_nothing_is_asked() -> None:
    rows = Rows.of({"x": np.array([np.nan, 2.5, 3.5]), "name": np.array([None, "a", "b"], object), "n": np.arange(3)})
    assert example.request(rows) == {"instances": [{"x": 2.5, "name": "a", "n": 1}]}


def test_where_every_row_lacks_something_the_first_is_asked_with_null() -> None:
    rows = Rows.of({"x": np.array([np.nan, np.nan], np.float32), "name": np.array(["a", "b"])})
    assert json.loads(json.dumps(example.request(rows), allow_nan=False)) == {"instances": [{"x": None, "name": "a"}]}


def test_a_package_holds_a_request_that_keeps_to_the_models_own_rules(sealed: Any) -> None:
    (told,) = json.loads(archive.read(sealed.path, archive.EXAMPLE))["instances"]
    declared = Declaration.from_dict(json.loads(archive.read(sealed.path, "features.json")))
    assert len(Reader(declared).documents([told])) == 1, "the model's own rules for an instance"
