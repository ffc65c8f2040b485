"""What travels inside a package; never imports lading."""
