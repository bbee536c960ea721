"""The control loop: observe, decide, and perform the next effect through the ports of a platform."""
