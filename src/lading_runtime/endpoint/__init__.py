"""An endpoint: one address in front of deployments, each of several instances."""
