"""The parts of the product that are written once above the ports of a platform, see `modelstack.services.ports`."""
