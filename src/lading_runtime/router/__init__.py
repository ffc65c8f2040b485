"""Several packages behind one address, each served by a server of its own."""
