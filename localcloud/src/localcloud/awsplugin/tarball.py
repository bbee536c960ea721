"""The plugin as `pulumi plugin install resource aws VERSION --file aws.tgz` takes it.

Stdlib only: set-up calls this before anything else runs.

    version = tarball.version()
    tarball.write(Path("aws.tgz"), python=Path(".venv/bin/python"))
"""

from __future__ import annotations

import gzip
import io
import shlex
import sys
import tarfile
from pathlib import Path

from localcloud.awsplugin.schema import schema

NAME = "aws"
LAUNCHER = "pulumi-resource-aws"
_ROOT = Path(__file__).resolve().parents[2]


def version() -> str:
    """The version to install it under: that of the `pulumi_aws` SDK it was built for."""
    return schema().sdk


def launcher(python: Path, root: Path = _ROOT) -> str:
    """The text of the launcher: a shell that becomes the plugin's process.

    `-P` keeps a project's own modules, which lie in the engine's working directory, from taking the place of ours.
    """
    start = f"import sys; sys.path.append({str(root)!r}); from localcloud.awsplugin.server import main; main()"
    return f'#!/bin/sh\nexec {shlex.quote(str(python))} -P -c {shlex.quote(start)} "$@"\n'


def write(path: Path, python: Path = Path(sys.executable), root: Path = _ROOT) -> Path:
    """Write the tarball; the same arguments give the same bytes.

    Args:
        path: Where to write it.
        python: The interpreter to run the plugin with; its environment has the `pulumi` SDK, grpcio and botocore.
        root: The folder that holds the `localcloud` package.

    Returns:
        `path`.
    """
    # An interpreter of a virtual environment is a link: it must keep its own name to find its environment.
    text = launcher(python.absolute(), root.resolve()).encode()
    entry = tarfile.TarInfo(LAUNCHER)
    entry.size, entry.mode = len(text), 0o755
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(entry, io.BytesIO(text))
    path.write_bytes(buffer.getvalue())
    return path
