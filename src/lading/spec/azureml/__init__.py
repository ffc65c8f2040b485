"""Azure ML's YAML files, unchanged: one file here per kind of file, on one reader."""
