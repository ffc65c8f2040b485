"""Turns a loaded model into one that needs no library, and proves it; run by the model's own Python."""
