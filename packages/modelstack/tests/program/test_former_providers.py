"""The state of a stack that was updated before the library was one package names its providers as they were then."""

from __future__ import annotations

import pickle
from importlib import import_module

import pytest

PROVIDERS = (
    ("kubernetes_package", "KubernetesPackageProvider"),
    ("kubernetes_trial", "KubernetesRolloutProvider"),
    ("mlflow", "MlflowProvider"),
    ("package", "PackageProvider"),
    ("trial", "RolloutProvider"),
)


@pytest.mark.parametrize(("module", "name"), PROVIDERS)
def test_a_provider_is_found_by_its_former_name(module: str, name: str) -> None:
    former = pickle.loads(f"cinfra.providers.{module}\n{name}\n.".encode())
    assert former is getattr(import_module(f"modelstack.program.providers.{module}"), name)
