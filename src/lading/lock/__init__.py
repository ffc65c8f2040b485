"""Requirements, a base and a server → a lock: every byte of an environment, pinned."""
