"""What the product needs from any platform, written once above the ports: see `services.ports`."""
