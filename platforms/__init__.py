"""Where does it run? Each folder is a platform: the adapters of the ports, and what is started there."""
