"""What stands beside the engine's binary? One executable file: a shell start that picks the Python, and a zip.

Stdlib only, since set-up runs it before there is an environment.
"""

import io
import zipfile
from pathlib import Path

NAMES = ("pulumi-language-python", "pulumi-resource-pulumi-python")
"""The names under which the engine looks for the file."""

PACKAGE = "pulumi_language_host"
_FOLDER = Path(__file__).parent
_LEFT_OUT = {"bundle.py"}
_MAIN = f"""\
import sys

import {PACKAGE}.start

del sys.path[0]  # this file; the package finds its own modules without it
{PACKAGE}.start.main(sys.argv)
"""


def executable() -> bytes:
    """Pack the host. The same sources give the same bytes."""
    packed = io.BytesIO()
    packed.write((_FOLDER / "start.sh").read_bytes())
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        for source in sorted(_FOLDER.glob("*.py")):
            if source.name not in _LEFT_OUT:
                archive.writestr(zipfile.ZipInfo(f"{PACKAGE}/{source.name}"), source.read_bytes())
        archive.writestr(zipfile.ZipInfo("__main__.py"), _MAIN)
    return packed.getvalue()
