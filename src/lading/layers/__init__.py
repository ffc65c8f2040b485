"""A lock and files in, sealed layers out: equal input, equal bytes."""
