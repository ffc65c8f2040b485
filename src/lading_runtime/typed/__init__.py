"""A function's type hints in; what reads a request's values for it, and their JSON Schema, out.

Runs in the model's environment: standard library, and whatever library a hint is of.
"""
