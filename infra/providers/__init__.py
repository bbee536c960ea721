"""The dynamic providers of stacks that were updated before the library was one package: their state has these names.

An update, a refresh or a `destroy` of such a stack loads a provider by the name in its state. The next update that
changes a resource writes the new name.
"""

import sys
from importlib import import_module

for _name in ("driving", "kubernetes_package", "kubernetes_trial", "mlflow", "package", "packaging", "trial"):
    sys.modules[f"{__name__}.{_name}"] = import_module(f"modelstack.program.providers.{_name}")
