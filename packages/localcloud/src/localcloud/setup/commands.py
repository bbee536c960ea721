"""How does set-up run a command? With its output in a log, its progress shown, its failure explained."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from localcloud.setup.failures import SetupFailed, explain


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    log: Path,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    line: Callable[[str], None] | None = None,
) -> str:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        what: What it was for, as a failure says it.
        log: Where its output goes, stdout and stderr together.
        environ: What to set beyond this process's environment.
        cwd: The folder to run it in.
        line: Told each line of output as it comes.

    Returns:
        The output.

    Raises:
        SetupFailed: It could not be started, or its exit code was not 0.
    """
    words = [str(word) for word in command]
    output: list[str] = []
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as file:
            file.write(f"$ {' '.join(words)}\n")
            with subprocess.Popen(
                words,
                env={**os.environ, **(environ or {})},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process:
                for text in process.stdout or ():
                    file.write(text)
                    output.append(text)
                    if line is not None:
                        line(text.rstrip())
    except OSError as error:
        raise explain(str(error), f"{what} failed", log) from error
    if process.returncode:
        raise explain("".join(output), f"{what} failed (exit code {process.returncode})", log)
    return "".join(output)


def answer(command: Sequence[str | Path], environ: Mapping[str, str] | None = None, timeout: float = 20) -> str | None:
    """Ask a program something short: its output, or None when it cannot answer."""
    try:
        asked = subprocess.run(
            [str(word) for word in command],
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def require_space(folder: Path, gigabytes: float, what: str) -> None:
    """Refuse to begin what could not be finished.

    Raises:
        SetupFailed: The disk under `folder` has less room than that.
    """
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    stat = os.statvfs(existing)
    free = stat.f_bavail * stat.f_frsize / 1e9
    if free < gigabytes:
        raise SetupFailed(
            f"{what} needs {gigabytes:g} GB at {existing}, and {free:.1f} GB are free",
            "Free some, or point XDG_CACHE_HOME at a larger disk.",
        )
