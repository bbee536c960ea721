"""`python -m localcloud.awsplugin`: the plugin's process, started by the Pulumi engine."""

from localcloud.awsplugin.server import main

if __name__ == "__main__":
    main()
