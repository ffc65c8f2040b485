"""What answers instead of a model that was compiled: standard library only, in the front and in the proof."""
