"""One file per command: flags, one pipeline call, print."""
