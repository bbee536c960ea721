"""The image of the stub: this machine's Python, the part of its library that the stub loads, and two files."""

from __future__ import annotations

import ast
import json
import os
import py_compile
import subprocess
import sys
from pathlib import Path

from localcloud.testing import MODEL_SERVER
from localcloud.testing.cluster import images

Entry = images.Entry
STUB = Path(__file__).with_name("stub.py")
_FILES = (
    "print(json.dumps([one.__spec__.origin for one in sys.modules.values() "
    "if getattr(one, '__spec__', None) and one.__spec__.has_location]))"
)


def pushed(registry: str, folder: Path) -> str:
    """The reference of the image, by digest, after it was pushed."""
    python = Path(sys.executable).resolve()
    imports = ", ".join({"json", "sys", "encodings.idna", *_imported(STUB), *_imported(MODEL_SERVER)})
    words = [python, "-I", "-c", f"import {imports}; {_FILES}"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    sources = [Path(origin) for origin in json.loads(done.stdout)]
    programs = [python, *(path for path in sources if path.suffix == ".so")]
    compiled = [_compiled(path, folder) for path in sources if path.suffix == ".py"]
    native = [images.Entry(_inside(path), path, 0o755) for path in sources if path.suffix == ".so"]
    # Python looks for the folder of its library by this file, and for that of its compiled modules.
    home = Path(os.__file__).parent
    marks = [
        images.Entry(_inside(home / "os.py"), home / "os.py"),
        images.Entry(_inside(home / "lib-dynload"), mode=0o755),
    ]
    ours = [images.Entry("stub/stub.py", STUB), images.Entry("stub/served_model.py", MODEL_SERVER)]
    image = images.of(
        [*ours, *compiled, *native, *marks, *images.libraries(*programs), images.Entry(_inside(python), python, 0o755)],
        folder,
        command=[str(python), "-E", "-s", "-B", "/stub/stub.py"],
    )
    try:
        return images.push(image, registry, "tests/stub")
    finally:
        image.layer.unlink()


def _imported(program: Path) -> set[str]:
    """The modules of the library that a program names."""
    nodes = list(ast.walk(ast.parse(program.read_text())))
    named = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name for name in named if name in sys.stdlib_module_names}


def _inside(path: Path) -> str:
    return str(path).removeprefix("/")


def _compiled(path: Path, folder: Path) -> images.Entry:
    """A module without its source, so that no pod compiles it."""
    there = folder / f"{str(path).replace('/', '+')}c"
    py_compile.compile(
        str(path), str(there), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, doraise=True
    )
    return images.Entry(_inside(path.with_suffix(".pyc")), there)
