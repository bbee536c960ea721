"""An AWS of one's own on 127.0.0.1: what a project needs of it, in one process and one folder.

`python -m localcloud start --state DIR --port N` starts it, `stop` ends it, `status` tells of it.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  set-up runs by whichever Python a person names
    sys.exit(
        "error: %s is Python %s: expected 3.11 or newer; name one, as in make PYTHON=/path/to/python3.11"  # noqa: UP031
        % (sys.executable, sys.version.split()[0])
    )
