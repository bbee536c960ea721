"""Become another program that dies with its parent: `python launch.py PARENT_PID NICENESS PROGRAM [ARGUMENT...]`.

Runs on its own, with nothing imported from the project. On Linux the kernel sends SIGKILL when the parent ends, however
it ends; elsewhere, what a killed server left behind is for the user to end.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def main() -> None:
    """Tie this process to its parent, then replace it."""
    parent, niceness, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0) != 0:
        sys.exit("launch: prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended before the line above
        sys.exit("launch: the server is gone")
    os.nice(niceness)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.exit(f"launch: cannot run {program[0]}: {error.strerror}")


main()
