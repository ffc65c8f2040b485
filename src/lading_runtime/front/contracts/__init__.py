"""One file per contract: a request of theirs in, one internal request, an answer of theirs out."""
