"""Makes one machine ready for a Pulumi project: environments from hashed locks, the engine, the local AWS plugin.

Run as `python3.11 -m localcloud.setup` from the checkout. Stdlib only, because it runs before any environment exists.
Whatever is there already is left as it is, so that a second run takes a moment.
"""
