"""An SDK that is imported lightly says the same of its types, and takes less for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DESCRIBE = """
import importlib, sys, typing
from localcloud.language import light

if sys.argv[1] == "light":
    light.install()
    light.read_types_once()

import pulumi_aws as aws
from pulumi import _types

for cls in (aws.sagemaker.EndpointConfiguration, aws.sagemaker.Endpoint, aws.sagemaker.Model, aws.lambda_.Function):
    print(cls, sorted(_types.resource_types(cls).items(), key=str))
    print(_types._required_property_names(getattr(sys.modules[cls.__module__], f"{cls.__name__}Args")) != set())
for name in ("outputs.EndpointConfigurationProductionVariant", "EndpointConfigurationProductionVariantArgs"):
    cls = aws.sagemaker
    for part in name.split("."):
        cls = getattr(cls, part)
    read = _types.output_type_types if name.startswith("outputs") else _types.input_type_types
    print(name, sorted(read(cls).items(), key=str))
    print(sorted(getattr(_types, "input_type_py_to_pulumi_names")(cls).items()) if "Args" in name else "")
print(typing.is_typeddict(aws.sagemaker.EndpointConfigurationProductionVariantArgsDict))
print(type(aws.sagemaker.__loader__).__name__, aws.sagemaker.Endpoint.name.fget.__doc__ is None, file=sys.stderr)
"""


def described(how: str) -> tuple[str, str]:
    ran = subprocess.run([sys.executable, "-c", DESCRIBE, how], capture_output=True, text=True, check=True)
    return ran.stdout, ran.stderr.splitlines()[-1]


def test_an_sdk_has_the_same_types_and_no_documentation() -> None:
    plain, light = described("plain"), described("light")
    assert light[0] == plain[0]
    assert "productionVariants" in light[0]
    assert (plain[1], light[1]) == ("SourceFileLoader False", "_Loader True")


@pytest.fixture
def sdk(tmp_path: Path) -> Path:
    """An SDK of one module, on a path of its own."""
    folder = tmp_path / "pulumi_small"
    folder.mkdir()
    (folder / "pulumi-plugin.json").write_text("{}")
    (folder / "__init__.py").write_text("answer: Missing = 1\n")
    return folder


def run(path: Path, program: str) -> str:
    code = (
        f"import sys; sys.path.append({str(path)!r})\nfrom localcloud.language import light; light.install()\n{program}"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_a_module_that_has_changed_is_compiled_again(sdk: Path) -> None:
    program = "import pulumi_small; print(pulumi_small.answer)"
    assert run(sdk.parent, program) == "1", "its annotation names nothing that is there, and is not looked at"
    assert len(list((sdk / "__pycache__").iterdir())) == 1
    (sdk / "__init__.py").write_text("answer: Missing = 2  # another size\n")
    assert run(sdk.parent, program) == "2"
    (kept,) = (sdk / "__pycache__").iterdir()
    kept.write_bytes(kept.read_bytes()[:20])
    (sdk / "__init__.py").write_text("answer = 3\n")
    assert run(sdk.parent, program) == "3"


def test_a_folder_that_cannot_be_written_to_is_imported_as_python_does(sdk: Path) -> None:
    (sdk / "__init__.py").write_text('"""Says what it is."""\n')
    (sdk / "__pycache__").write_text("a file, so that nothing can be kept in it")
    assert run(sdk.parent, "import pulumi_small; print(pulumi_small.__doc__)") == "Says what it is."


def test_a_module_of_resources_is_imported_when_one_of_its_names_is_used(sdk: Path) -> None:
    folder = sdk / "zoo"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .lion import *\nfrom .get_cage import *\nfrom . import outputs\n")
    (folder / "lion.py").write_text("__all__ = ['LionArgs', 'Lion']\nLionArgs, Lion = 'args', 'lion'\n")
    (folder / "get_cage.py").write_text(
        "__all__ = [\n    'Cage',\n    'get_cage',\n]\nCage, get_cage = 'cage', 'get'\n"
    )
    (folder / "outputs.py").write_text("__all__ = []\n")
    loaded = "print([name for name in ('lion', 'get_cage', 'outputs') if f'pulumi_small.zoo.{name}' in sys.modules])"
    used = "print(zoo.Lion, zoo.Cage, zoo.get_cage, getattr(zoo, 'Tiger', None))"
    program = f"from pulumi_small import zoo\n{loaded}\nfrom pulumi_small.zoo import LionArgs\n{loaded}\n{used}"
    given = run(sdk.parent, program)
    assert given.splitlines() == ["['outputs']", "['lion', 'outputs']", "lion cage get None"]
    assert run(sdk.parent, "from pulumi_small.zoo import *\nprint(Lion, get_cage, outputs.__name__)").startswith(
        "lion get"
    )


def test_other_packages_are_left_to_python(sdk: Path) -> None:
    other = sdk.parent / "pulumi_other"
    other.mkdir()
    (other / "__init__.py").write_text('"""No SDK."""\n')
    assert run(sdk.parent, "import pulumi_other; print(pulumi_other.__doc__)") == "No SDK."


def test_the_automation_api_is_loaded_when_it_is_used(sdk: Path) -> None:
    program = (
        "import pulumi\n"
        "inner = 'pulumi.automation._local_workspace'\n"
        "print(inner in sys.modules, pulumi.automation.LocalWorkspace.__name__, inner in sys.modules)"
    )
    assert run(sdk.parent, program) == "False LocalWorkspace True"


def test_a_dictionary_type_has_no_fields_to_compile(sdk: Path) -> None:
    (sdk / "__init__.py").write_text(
        "from typing import TypedDict\n\n\nclass SizeDict(TypedDict):\n    width: 'int'\n    height: 'int'\n"
    )
    program = "from pulumi_small import SizeDict; print(SizeDict(width=1), SizeDict.__annotations__)"
    assert run(sdk.parent, program) == "{'width': 1} {}"
