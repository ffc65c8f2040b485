"""What Azure ML's scoring scripts import, for environments that have neither Azure's packages nor Flask."""
