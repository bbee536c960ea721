"""The controller in the cluster: `python -m platforms.kubernetes.program`.

One process drives all Rollouts of its namespace. Any number of them may run, and any may be killed at any time: what
they decide, the journal takes from one of them alone.
"""
