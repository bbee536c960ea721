"""Makes one machine ready for a Pulumi project: environments from hashed locks, the engine, the local AWS plugin.

Run as `python3.11 -m localcloud.setup` from the checkout. Stdlib only, because it runs before any environment exists.
Whatever is there already is left as it is, so that a second run takes a moment.

    places = Places.of(Path())                     # where everything of the checkout lies
    environment = applied(places)                  # os.environ, pointed at the local stack
    folder = cached(places, Installer(places), places.lock("peers"))     # one more environment, in the user's cache
"""

from localcloud.setup.awsplugin import install as install_plugin
from localcloud.setup.environments import Installer, cached
from localcloud.setup.failures import SetupFailed
from localcloud.setup.locks import compile_groups as lock
from localcloud.setup.places import ENGINE_VERSION, Places
from localcloud.setup.shell import POLICY_PACK, PORT, UNSET, applied, variables

__all__ = [
    "ENGINE_VERSION",
    "POLICY_PACK",
    "PORT",
    "UNSET",
    "Installer",
    "Places",
    "SetupFailed",
    "applied",
    "cached",
    "install_plugin",
    "lock",
    "variables",
]
