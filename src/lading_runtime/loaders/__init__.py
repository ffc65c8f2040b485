"""One file per way to load a model; the bill's `model.loader` names the module."""
