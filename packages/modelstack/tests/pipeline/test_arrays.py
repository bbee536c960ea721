"""Models of arrays, and models that are an ONNX file, from their table to what serves and what drift is measured on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelstack.monitoring.drift.reference import Reference
from modelstack.pipeline import archive
from modelstack.pipeline.build import build
from modelstack.pipeline.contract import ContractBroken
from modelstack.pipeline.onnx_file import Data
from modelstack.pipeline.outline import broken
from modelstack.pipeline.recipe import recipe
from modelstack.pipeline.rows import Rows, as_json
from modelstack.pipeline.step import StepFailed
from modelstack.pipeline.train import reference
from modelstack.serving.declaration import Declaration
from modelstack.serving.instances import Reader
from modelstack.serving.summaries import documents
from tests.pipeline.conftest import checkout_of
from tests.serving.packages import served
from tests.serving.test_arrays import doubling

FEATURES = """FEATURES = {
    "embedding": {"shape": [3], "dtype": "float32", "low": -10, "high": 10, "summaries": ["mean", "norm"]},
}
"""


def table(rows: int = 2000, shift: float = 0.0) -> dict[str, Any]:
    source = np.random.default_rng(7)
    return {"embedding": source.normal(shift, 1, (rows, 4)).astype(np.float32), "age": source.normal(size=rows)}


def test_arrays_of_a_table_are_those_of_a_request():
    sound = np.array([b"\x00", None], object)
    given = {"embedding": [[1.0, 2.0], [3.0, 4.0]], "pixels": np.array([[[True]], [[False]]]), "sound": sound}
    rows = Rows.of(given)
    assert rows.features == [
        {"name": "embedding", "kind": "number", "optional": False, "shape": [2], "dtype": "float64"},
        {"name": "pixels", "kind": "number", "optional": False, "shape": [1, 1], "dtype": "uint8"},
        {"name": "sound", "kind": "bytes", "optional": True},
    ]
    framed = Rows.of(pd.DataFrame({"embedding": given["embedding"], "sound": sound}))
    np.testing.assert_equal(framed.columns["embedding"], rows.columns["embedding"])
    missing = Rows.of(pd.DataFrame({"embedding": [[1.0, 2.0], None]}))
    assert missing.features[0]["optional"] is True
    for some in (rows, missing):
        instances = [{name: as_json(values[at]) for name, values in some.columns.items()} for at in range(2)]
        body = json.dumps({"instances": instances}).encode()
        np.testing.assert_equal(Reader(Declaration.from_dict(some.features)).json(body).table, some.table)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([[1.0, 2.0], [3.0]], "expected one shape in each column"),
        (pd.Series([[1.0, 2.0], [3.0]]), "expected one shape in each column"),
        (np.array([[1.0, np.nan], [1.0, 2.0]]), "'x': found arrays with NaN or infinity; expected numbers"),
        (np.array([["a", "b"], ["c", "d"]]), "'x': found shape (2, 2); expected (2,)"),
        (np.array([b"a", "b"], object), "'x': found texts and bytes; expected one of them"),
    ],
)
def test_arrays_that_no_request_could_have_are_refused(column: Any, said: str):
    with pytest.raises(ContractBroken, match=re.escape(said)):
        Rows.of({"x": column})


def test_drift_of_an_array_is_measured_on_its_summaries_whether_captured_as_such_or_as_sent():
    features = [{**one, "summaries": ["mean", "norm"]} if "shape" in one else one for one in Rows.of(table()).features]
    found = Reference.from_dict(json.loads(json.dumps(reference(Rows.of(table()), features).as_dict())))
    assert list(found.profile.columns) == ["embedding.mean", "embedding.norm", "age"]
    declared = Declaration.from_dict(features)
    for shift, drifted in ((0.0, []), (0.6, ["embedding.mean"])):
        rows = Rows.of(table(500, shift))
        sent = [{name: as_json(values[at]) for name, values in rows.columns.items()} for at in range(len(rows))]
        read = Reader(declared).json(json.dumps({"instances": sent}).encode())
        states: list[Any] = []
        for instances in (sent, json.loads(json.dumps(documents(read, declared.features)))):
            monitor = found.monitor(0.05, 3600.0)
            results = [one for at, row in enumerate(instances) for one in monitor.add(row, at * 60.0)]
            assert not any("OutOfRange" not in key for one in results for key in one.unusual)
            states.append([sorted(one.drifted) for one in results])
        assert states[0] == states[1]
        assert states[0][-1] == drifted


def test_an_array_that_is_not_watched_has_no_drift():
    features = [{**Rows.of(table()).features[0], "summaries": []}]
    found = reference(Rows.of({"embedding": table()["embedding"]}), features)
    monitor = Reference.from_dict(found.as_dict()).monitor(0.05, 3600.0)
    results = [one for at in range(60) for one in monitor.add({"embedding": [1.0] * 4}, at * 9000.0)]
    assert results and not any(one.unusual or one.evidence for one in results)


def test_a_row_with_another_array_than_declared_counts_as_wrong():
    monitor = reference(Rows.of(table())).monitor(0.05, 3600.0)
    for value in (["a"], [[1.0], ["b"]], "text", {"mean": "x"}, 5):
        list(monitor.add({"embedding": value, "age": 1.0}, 0.0))
    seen = monitor.cutter.seen.features["embedding.mean"]
    assert (seen.wrong, seen.absent, sum(seen.bins)) == (5, 0, 0)


def test_the_rows_of_a_file_without_data_are_as_it_declares():
    features = {
        "signal": {"shape": [2, 3], "low": 2, "high": 3},
        "pixels": {"shape": [4], "dtype": "uint8"},
        "age": {"low": 0},
        "kind": {"kind": "text", "categories": ["a", "b"]},
        "sound": {"kind": "bytes"},
        "loud": {"kind": "boolean"},
    }
    data = Data(features)
    rows = Rows.of(data.training(None))
    instances = [{name: as_json(values[at]) for name, values in rows.columns.items()} for at in range(len(rows))]
    Reader(Declaration.from_dict([{"name": name, "kind": "number", **one} for name, one in features.items()])).json(
        json.dumps({"instances": instances}).encode()
    )
    monitor = data.reference().monitor(0.05, 3600.0)
    found = [one for at in range(60) for one in monitor.add({**instances[0], "age": -1}, at * 9000.0)]
    assert found and not any(one.evidence for one in found)
    assert found[0].unusual == {("OutOfRange", "age"): found[0].rows, ("OutOfRange", None): found[0].rows}


@pytest.fixture
def folder(tmp_path: Path, own_cache: Path) -> Path:
    """A checkout whose model is an ONNX file with a declaration."""
    model = tmp_path / "given"
    model.mkdir()
    (model / "__init__.py").touch()
    (model / "model.onnx").write_bytes(doubling("embedding"))
    (model / "features.py").write_text(FEATURES)
    return checkout_of(model, tmp_path / "checkout") / "model"


def test_a_file_alone_keeps_the_contract_if_it_is_declared(folder: Path):
    assert broken(folder.parent) == []
    (folder / "features.py").unlink()
    assert broken(folder.parent) == [
        "model/features.py: found no FEATURES; expected one for each input of model/model.onnx"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no model", "model/model.onnx does not answer 2 rows: "),
        (doubling("other", rows=1), r"does not answer 2 rows: .*\n? index: 0 Got: 2 Expected: 1"),
        (doubling("a"), r"does not answer 2 rows: .*[Ii]nvalid"),
    ],
)
def test_a_file_that_does_not_answer_is_refused_when_it_is_built(folder: Path, content: bytes, said: str):
    (folder / "model.onnx").write_bytes(content)
    if b"other" not in content:
        (folder / "features.py").write_text('FEATURES = {"x": {"shape": [4]}}\n')
    with pytest.raises(StepFailed, match=said):
        build(folder.parent, recipe(folder.parent, {}), progress=lambda _: None)


@pytest.mark.slow
def test_an_onnx_file_alone_becomes_a_package_that_serves(folder: Path, tmp_path: Path):
    sealed = build(folder.parent, recipe(folder.parent, {}), progress=lambda _: None)
    archive.unpack(sealed.path, tmp_path / "package")
    assert not (tmp_path / "package" / "model.onnx").exists()
    with served(tmp_path / "package", sealed.manifest_sha256) as server:
        assert server.predictions({"embedding": [1, 2, -3]}) == [{"twice": [2, 4, -6]}]
        status, answer, _ = server.ask({"instances": [{"embedding": [1, 2, 30]}]})
    assert (status, answer["error"][:44]) == (400, "instances[0].embedding[2]: 30 is not allowed")


@pytest.mark.slow
def test_training_may_return_an_onnx_file(folder: Path, tmp_path: Path):
    (folder / "model.onnx").rename(folder / "weights.bin")
    (folder / "data.py").write_text(
        "import numpy as np\n\n\ndef training(settings):\n"
        "    return {'embedding': np.ones((50, 3)), 'label': np.full(50, 2.0), 'id': np.arange(50)}\n"
    )
    (folder / "training.py").write_text(
        "from pathlib import Path\n\nfrom modelstack.serving.onnx_file import OnnxFile\n\n\n"
        "def train(rows, settings):\n"
        "    return OnnxFile((Path(__file__).parent / 'weights.bin').read_bytes())\n"
    )
    sealed = build(folder.parent, recipe(folder.parent, {}), progress=lambda _: None)
    archive.unpack(sealed.path, tmp_path / "package")
    with served(tmp_path / "package", sealed.manifest_sha256) as server:
        assert server.predictions({"embedding": [1, 2, 3]}) == [{"twice": [2, 4, 6]}]


PLAIN = """
class Nearest:
    classes_ = ["low", "high"]

    def predict(self, table):
        return ["high" if row[0] > 0 else "low" for row in table]

    def predict_proba(self, table):
        import numpy as np

        high = (table[:, 0] > 0).astype(float)
        return np.stack([1 - high, high], axis=1)


def train(rows, settings):
    return Nearest()
"""


@pytest.mark.slow
def test_a_plain_class_needs_joblib_alone(folder: Path, tmp_path: Path):
    (folder / "model.onnx").unlink()
    (folder / "data.py").write_text(
        "import numpy as np\n\n\ndef training(settings):\n    x = np.random.default_rng(0).normal(size=(50, 3))\n"
        "    return {'embedding': x, 'label': np.where(x[:, 0] > 0, 'high', 'low'), 'id': np.arange(50)}\n"
    )
    (folder / "training.py").write_text(PLAIN)
    root = folder.parent
    with pytest.raises(StepFailed, match="its server loads the estimator itself: add joblib to requirements/serving"):
        build(root, recipe(root, {}), progress=lambda _: None)
    app, serving = (root / "requirements" / name for name in ("app.txt", "serving.txt"))
    locks = [one[0] for one in re.finditer(r"^(joblib|cloudpickle)==.*(\n    .*)+\n", app.read_text(), re.MULTILINE)]
    assert len(locks) == 2  # joblib needs cloudpickle
    serving.write_text(serving.read_text() + "".join(locks))
    sealed = build(root, recipe(root, {}), progress=lambda _: None)
    assert sealed.metrics["accuracy"] == 1
    archive.unpack(sealed.path, tmp_path / "package")
    with served(tmp_path / "package", sealed.manifest_sha256) as server:
        answer = {"prediction": "high", "probability": {"low": 0, "high": 1}}
        assert server.predictions({"embedding": [1, 2, -3]}) == [answer]
