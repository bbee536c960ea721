"""The parameters of a version, as the model's own server reads them."""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from datetime import date
from types import ModuleType

import pytest

from modelstack.serving.parameter_types import parse
from modelstack.serving.sealed import Sealed, Values

GIVEN = {"depth": 3, "until": "2013-03-01", "items": 7}


@dataclass(frozen=True)
class Parameters:
    depth: int = 1
    until: date = date(2013, 1, 1)
    items: int = 0

    @property
    def twice(self) -> int:
        return 2 * self.depth


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("model.parameters")
    module.__spec__ = sys.modules[__name__].__spec__
    monkeypatch.setattr(module, "Parameters", Parameters, raising=False)
    monkeypatch.setitem(sys.modules, "model.parameters", module)


def test_a_server_reads_parameters_as_training_does() -> None:
    served, trained = Sealed(None, Values(GIVEN)).parameters, parse(Parameters, GIVEN)
    for name in ("depth", "until", "items", "twice"):
        assert getattr(served, name) == getattr(copy.deepcopy(served), name) == getattr(trained, name)
    with pytest.raises(AttributeError, match="'Parameters' object has no attribute 'width'"):
        _ = served.width


def test_a_package_that_was_sealed_earlier_still_reads_items() -> None:
    served = Values(GIVEN)
    assert (served["until"], served.get("depth"), served.get("width", 5), list(served)) == (
        "2013-03-01", 3, 5, ["depth", "until", "items"],
    )  # fmt: skip
    assert {**served} == dict(served) == GIVEN


def test_a_model_without_parameters_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelstack.serving.sealed.find_spec", lambda name: None)
    assert not list(Sealed(None).parameters)
    with pytest.raises(AttributeError, match="'NoParameters' object has no attribute 'depth'"):
        _ = Sealed(None).parameters.depth
