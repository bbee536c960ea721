"""The platforms: each folder has the adapters of the ports, and the programs that run there."""
