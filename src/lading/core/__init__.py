"""The nouns that two or more stages share, the ports between them, and the errors."""
