"""The container's program: `python -m modelstack.serving serve`, and `fetch` before it if nothing else provides the
package.

Its settings are environment variables, see `settings` and `fetch`. Exit status: 0 after a drain or a fetch, 1 the
package was refused, 2 a wrong command or setting, 3 the model's code failed, 4 a fetch failed and may succeed later.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from modelstack.serving.package import PackageRefused, check_environment, code_from, manifest_of, verify
from modelstack.serving.settings import RuntimeSettings, SettingError
from modelstack.serving.supervisor import Supervisor


def main(arguments: list[str]) -> int:
    """Run the command and return the exit status."""
    if arguments == ["fetch"]:
        from modelstack.serving import fetch  # noqa: PLC0415  its HTTP client takes 10 MB, which a server does not need

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a container's first process ignores it by default
        return fetch.run(os.environ)
    if arguments != ["serve"]:
        return _refuse(f"command {' '.join(arguments) or 'none'!r} is not known: expected serve or fetch")
    return _serve()


def _serve() -> int:
    try:
        settings = RuntimeSettings.of(os.environ)
    except SettingError as error:
        return _refuse(str(error))
    folder = Path(settings.folder)
    try:
        manifest = manifest_of(folder, settings.manifest_sha256)
        if own := manifest.get("server") == "own":
            check_environment(verify(folder, settings.manifest_sha256))
    except PackageRefused as error:
        return _refuse(f"the package in {folder} is refused: {error}", status=1)
    if own:
        return _own_server(folder, manifest, settings)
    try:
        return Supervisor(settings).run()
    except OSError as error:
        return _refuse(f"cannot listen on {settings.host}:{settings.port}: {error}")


def _own_server(folder: Path, manifest: dict[str, Any], settings: RuntimeSettings) -> int:
    """Run the model's own server in this process."""
    code_from(folder, manifest)
    try:
        import_module("model.serving").main(folder, settings.host, settings.port)
    except Exception as error:
        traceback.print_exc()
        return _refuse(f"the model's code failed: {type(error).__name__}: {error}", status=3)
    return 0


def _refuse(message: str, status: int = 2) -> int:
    print(f"cannot serve: {message}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
