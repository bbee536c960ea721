"""The program of this project. A team declares its own resources here, after those of the library."""

import pulumi

from modelstack.program.main import main

if __name__ == "__main__":
    pulumi.run(main)
