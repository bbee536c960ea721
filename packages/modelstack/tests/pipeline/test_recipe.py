from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.pipeline.contract import NothingNewer, RecipeError
from modelstack.pipeline.declared import retrained
from modelstack.pipeline.locks import locked
from modelstack.pipeline.recipe import canonical, recipe
from tests.pipeline.conftest import append
from tests.process import printed

ROOT = Path(__file__).resolve().parents[4]
Checkout = Callable[[str], Path]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.slow
def test_two_checkouts_in_two_folders_have_one_recipe(checkout: Checkout):
    first, second = checkout("first"), checkout("deeper/second checkout")
    for path in second.rglob("*"):
        os.utime(path, (0, 0))
        if path.is_file():
            path.chmod(0o755)
    assert recipe(first, {}) == recipe(second, {}) == recipe(ROOT, {})


def test_defaults_and_the_order_of_parameters_do_not_matter():
    assert recipe(ROOT, {"max_iter": 60, "fault": "none"}) == recipe(ROOT, {"fault": "none", "max_iter": 60.0})
    assert recipe(ROOT, {"max_iter": 60, "fault": "none"}) == recipe(ROOT, {})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["training.py", "features.py", "serving.py", "parameters.py", "words/list.txt"])
def test_a_change_in_a_file_of_the_model_changes_the_code_and_nothing_else(root: Path, name: str):
    before = recipe(root, {})
    append(root / "model" / name, "# changed\n")
    after = recipe(root, {})
    assert after.digest != before.digest
    assert [part for part in before.parts if before.parts[part] != after.parts[part]] == ["code"]


@pytest.mark.parametrize("name", ["README.md", "example_request.json", ".hidden", "__pycache__/x.pyc", "a/.b/c.py"])
def test_a_file_that_is_not_the_model_changes_nothing(root: Path, name: str):
    before = recipe(root, {})
    append(root / "model" / name, "changed\n")
    assert recipe(root, {}) == before


def test_a_renamed_file_is_another_model(root: Path):
    (root / "model/a.txt").write_text("x")
    before = recipe(root, {})
    (root / "model/a.txt").rename(root / "model/b.txt")
    assert recipe(root, {}).digest != before.digest


def test_another_parameter_is_another_model():
    before, after = recipe(ROOT, {}), recipe(ROOT, {"max_iter": 61})
    assert before.digest != after.digest
    assert after.parameters == {**before.parameters, "max_iter": 61}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lock", "old", "new", "same"),
    [
        ("serving.txt", "onnxruntime==", "onnxruntime==0.", False),
        ("serving.txt", "sha256:.", "sha256:x", False),
        ("app.txt", "\npandas==", "\npandas==0.", False),
        ("app.txt", "\npyyaml==", "\npyyaml==0.", False),
        ("app.txt", "\nskl2onnx==", "\nskl2onnx==0.", False),
        ("app.txt", "\nrich==", "\nrich==0.", True),
    ],
    ids=[
        "a library",
        "a hash of it",
        "what the code imports",
        "the package of another name",
        "what makes the fast form",
        "what it does not import",
    ],
)
def test_another_version_of_what_the_model_needs_is_another_model(
    root: Path, lock: str, old: str, new: str, same: bool
):
    (root / "model/more.py").write_text("import yaml\n")  # which the package PyYAML gives
    before, path = recipe(root, {}), root / "requirements" / lock
    text, found = re.subn(old, new, path.read_text(), count=1)
    assert found
    path.write_text(text)
    assert (recipe(root, {}) == before) is same


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("app", "pandas==", "polars==", r"app\.txt does not lock pandas, which model/data\.py imports: add it to"),
        (
            "app",
            "skl2onnx==",
            "skl3onnx==",
            r"app\.txt does not lock skl2onnx, which makes the fast form: run `make lock`",
        ),
        ("serving", "numpy==", "numpy>=", r"serving\.txt: 'numpy>=\S+' pins no version: expected name==version"),
    ],
)
def test_a_lock_that_misses_a_library_or_pins_no_version_is_refused(
    root: Path, file: str, old: str, new: str, said: str
):
    lock = root / f"requirements/{file}.txt"
    lock.write_text(lock.read_text().replace(f"\n{old}", f"\n{new}"))
    with pytest.raises(RecipeError, match=said):
        recipe(root, {})


def test_comments_options_and_the_order_of_a_lock_do_not_matter(root: Path):
    before = recipe(root, {})
    lock = root / "requirements/serving.txt"
    blocks = lock.read_text().replace("\\\n", "\0").splitlines()
    shuffled = [line for line in reversed(blocks) if line.strip() and not line.lstrip().startswith("#")]
    lock.write_text("--only-binary :all:\n# again\n" + "\n".join(shuffled).replace("\0", "\\\n") + "  # end\n")
    assert recipe(root, {}) == before


def test_locked_versions_are_read_with_markers_and_extras(tmp_path: Path):
    lock = tmp_path / "lock.txt"
    lock.write_text(
        'a==1.0 ; python_version < "4" \\\n    --hash=sha256:00\n# comment\n    # via b\n'
        "b-c==2!3.post1 \\\n  --hash=sha256:1\n"
        'd==4; sys_platform == "linux"\n'
    )
    assert locked(lock) == {"a": "1.0", "b-c": "2!3.post1", "d": "4"}


def test_a_wrong_parameter_is_refused_by_name():
    with pytest.raises(RecipeError, match="max_iter: 0 is not allowed: expected an integer from 1 to 1000"):
        recipe(ROOT, {"max_iter": 0})


def test_a_model_whose_code_raises_is_refused_with_its_file_and_reason(root: Path):
    append(root / "model/parameters.py", "\n1 / 0\n")
    with pytest.raises(RecipeError, match=r"model/parameters\.py failed: ZeroDivisionError: division by zero"):
        recipe(root, {})


def test_a_link_in_the_model_is_refused(root: Path):
    (root / "model/words.txt").symlink_to("/etc/hostname")
    with pytest.raises(RecipeError, match="symbolic link"):
        recipe(root, {})


def test_a_folder_without_a_model_is_refused(tmp_path: Path):
    (tmp_path / "model").mkdir()
    with pytest.raises(RecipeError, match=r"is not a model: it has no __init__\.py"):
        recipe(tmp_path, {})


def test_a_model_may_import_the_runtime_which_is_in_every_image(wine: Path):
    before = recipe(wine, {}).parts["dependencies"]
    (wine / "model" / "serving.py").write_text("from modelstack.serving.sealed import read\n")
    assert recipe(wine, {}).parts["dependencies"] == before


def test_data_that_is_in_no_file_is_told_by_its_version(root: Path):
    (root / "model/sources.py").unlink()
    none = recipe(root, {}).parts["data"]
    (root / "model/sources.py").write_text("def version(): return 'snapshot 1'\n")
    first = recipe(root, {}).parts["data"]
    (root / "model/sources.py").write_text("def version(): return 'snapshot 2'\n")
    assert len({none, first, recipe(root, {}).parts["data"]}) == 3


def test_changed_data_is_noticed_and_unchanged_data_is_not_read(
    root: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = tmp_path / "data.csv"
    data.write_text("a,b\n1,2\n")
    (root / "model/sources.py").write_text(
        f"from pathlib import Path\ndef files(): return {{'data.csv': Path({str(data)!r})}}\n"
    )
    before = recipe(root, {}).parts["data"]
    assert len(list((own_cache / "data-digests").iterdir())) == 1
    kept = next((own_cache / "data-digests").iterdir())
    assert kept.read_text() == before
    times = data.stat()
    data.write_text("a,b\n1,3\n")
    os.utime(data, ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, same time, other content
    assert recipe(root, {}).parts["data"] != before
    monkeypatch.setattr(
        "modelstack.pipeline.recipe.sha256_of",
        lambda path: pytest.fail(f"{path} was read") if path == data else "0" * 64,
    )
    assert recipe(root, {}).parts["data"] != before


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert recipe(ROOT, {}).digest == recipe(ROOT, {}).digest


def test_a_damaged_cache_entry_is_made_anew(own_cache: Path):
    before = recipe(ROOT, {})
    (kept,) = (own_cache / "data-digests").iterdir()
    kept.write_text("")
    assert recipe(ROOT, {}) == before


def test_a_recipe_loads_no_library():
    program = (
        "import sys; from pathlib import Path; from modelstack.pipeline.recipe import recipe\n"
        "recipe(Path(sys.argv[1]), {})\n"
        "print([name for name in ('numpy', 'pandas', 'sklearn', 'boto3') if name in sys.modules])"
    )
    assert printed(program, str(ROOT)) == "[]"


@pytest.mark.slow
def test_a_file_changed_within_the_same_second_is_run_as_it_is_now(root: Path):
    path = root / "model/parameters.py"
    for default in range(60, 70):
        path.write_text(
            (ROOT / "model/parameters.py").read_text().replace("(1, 1000)] = 60", f"(1, 1000)] = {default}")
        )
        assert recipe(root, {}).parameters["max_iter"] == default


def test_what_retraining_changes_is_the_models_word_and_loads_no_library():
    code = (
        "import json, sys, pathlib; from modelstack.pipeline.declared import retrained; "
        "print(json.dumps(retrained(pathlib.Path('.'), {}, '2013-06-16'))); "
        "sys.exit(bool({'pandas', 'numpy', 'sklearn', 'model'} & set(sys.modules)))"
    )
    assert json.loads(printed(code)) == {
        "train_until": "2013-05-18",
        "evaluate_from": "2013-05-18",
        "evaluate_until": "2013-06-15",
        "refit": True,
    }


def test_a_day_without_newer_data_is_told_apart_from_a_model_that_cannot_be_retrained(root: Path):
    with pytest.raises(NothingNewer, match="through: '2013-03-01' is not allowed"):
        retrained(root, {}, "2013-03-01")
    for wrong in ("20130616", "2013-W24-7", "2013-13-01", ""):
        with pytest.raises(RecipeError, match="is not allowed: expected a day as YYYY-MM-DD") as refused:
            retrained(root, {}, wrong)
        assert not isinstance(refused.value, NothingNewer)
    append(root / "model/parameters.py", "\ndef retrained(settings, through):\n    return 1 / 0\n")
    with pytest.raises(RecipeError, match=r"parameters\.py failed: ZeroDivisionError"):
        retrained(root, {}, "2013-06-16")
    append(root / "model/parameters.py", "\ndel retrained\n")
    with pytest.raises(RecipeError, match=r"parameters\.py has no retrained.*docs/how-to/own-model\.md") as refused:
        retrained(root, {}, "2013-06-16")
    assert not isinstance(refused.value, NothingNewer)


@given(st.dictionaries(st.text(), values, max_size=5), st.randoms())
def test_the_canonical_form_does_not_depend_on_order(content: dict, random):
    items = list(content.items())
    random.shuffle(items)
    assert canonical(dict(items)) == canonical(content)
    assert canonical(content).isascii()
