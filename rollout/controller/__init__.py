"""The loop: look, decide, and perform the next effect through the ports of a platform."""
