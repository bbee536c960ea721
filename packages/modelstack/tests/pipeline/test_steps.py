from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.pipeline.steps import INPUTS, PIPELINE, STEPS, Input, Pipeline, PipelineError, Step
from tests.process import printed

ROOT = Path(__file__).resolve().parents[4]
TEXT = Input("word", "text", "a word", "stone")


def step(name: str, *takes: str, **more: Any) -> Step:
    return Step(name, "toy:main", "do it", takes=takes, **more)


def test_the_steps_go_from_the_data_to_the_registered_version() -> None:
    names = [one.name for one in PIPELINE.order()]
    assert names == ["data", "train", "evaluate", "seal", "compare", "gate", "sign", "register"]
    outside = [one.name for one in PIPELINE.steps if not one.cached]
    assert outside == [one.name for one in PIPELINE.steps if one.only_if == "gate"] == ["sign", "register"]


@pytest.mark.parametrize("one", STEPS, ids=lambda one: one.name)
def test_every_declared_program_is_there(one: Step) -> None:
    module, _, name = one.program.partition(":")
    assert callable(getattr(import_module(module), name))


def test_to_import_the_declaration_loads_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; before = set(sys.modules); import modelstack.pipeline.steps; "
        "print(sorted({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    assert printed(program) == "['modelstack']"


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([step("a", "b")], "step a: takes 'b', which is neither a step nor an input"),
        ([step("a"), step("a")], "'a' is there twice"),
        ([step("word")], "'word' is there twice"),
        ([step("a", "c"), step("b", "a"), step("c", "b")], "steps wait for each other: a -> "),
        ([step("a", "a")], "steps wait for each other: a -> a"),
        ([step("A b")], "'A b' is no name"),
        ([replace(step("a"), program="toy.main")], "step a: program 'toy.main'; expected module:function"),
        ([step("a"), step("b", only_if="a")], "step b: only_if 'a'; expected a step that it takes from"),
        ([step("a", "word", only_if="word")], "step a: only_if 'word'; expected a step that it takes from"),
        ([step("a", group="test")], "step a: group 'test'; expected build, check, release"),
        ([step("a", retries=-1)], "step a: retries -1"),
        ([step("a", timeout=0)], "timeout 0; expected"),
    ],
)
def test_what_no_engine_could_run_is_refused_by_name(steps: list[Step], said: str) -> None:
    with pytest.raises(PipelineError) as refused:
        Pipeline((TEXT,), tuple(steps))
    assert said in str(refused.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(PipelineError) as refused:
        Pipeline((), (step("a", "x"), step("b", "y", timeout=0)))
    assert str(refused.value).count("\n  - ") == 3


def test_what_a_step_takes_is_told_apart_by_what_it_is() -> None:
    compare = PIPELINE.step("compare")
    assert PIPELINE.steps_of(compare) == ("data", "seal")
    assert PIPELINE.folders_of(compare) == ("code", "raw_data", "champion")
    assert [one.name for one in PIPELINE.texts_of(compare)] == ["code_digest", "champion_digest"]
    with pytest.raises(PipelineError, match="there is no step 'pack'; expected one of data, train"):
        PIPELINE.step("pack")


@given(st.permutations(STEPS))
def test_whatever_the_order_in_the_file_each_step_comes_after_what_it_takes(steps: list[Step]) -> None:
    pipeline = Pipeline(INPUTS, tuple(steps))
    order = [one.name for one in pipeline.order()]
    assert sorted(order) == sorted(one.name for one in STEPS)
    for one in steps:
        assert all(order.index(name) < order.index(one.name) for name in pipeline.steps_of(one))
