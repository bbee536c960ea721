"""Become another program that dies with its parent: `python launch.py PARENT_PID NICENESS PIPE PROGRAM [ARGUMENT...]`.

Runs on its own, with nothing imported from the project. On Linux the kernel sends SIGKILL when the parent ends, however
it ends; elsewhere, what a killed server left behind is for the user to end. Why the program cannot be run is written
into the pipe, a file descriptor; it closes when the program runs.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def main() -> None:
    """Tie this process to its parent, then replace it."""
    parent, niceness, pipe, program = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    os.set_inheritable(pipe, False)
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0) != 0:
        sys.exit("launch: prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:  # it ended before the line above
        sys.exit("launch: the server is gone")
    os.nice(niceness)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        os.write(pipe, f"{error.strerror}: {program[0]}".encode())
        sys.exit(1)


main()
