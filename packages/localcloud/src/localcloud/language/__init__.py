"""The Python language host of a Pulumi engine that was built from its Go module.

The official CLI ships its own host and needs none of this. `bundle.install()` copies the folder to where the engine's
binary is, with two launchers beside it:

    pulumi-language-python           serves `pulumirpc.LanguageRuntime`; runs the program in its own process
    pulumi-resource-pulumi-python    serves dynamic resources, by `pulumi.dynamic`

Each starts in the virtual environment that the project's `runtime.options.virtualenv` names. Imports within the folder
are relative, because it runs under the name `pulumi_language_host` there.
"""

VERSION = "3.274.1"
"""The engine whose protocol this host speaks."""

SHOWN = 32
"""Exit code of a program's process when the user has been shown its error: the engine then adds nothing of its own."""
