"""One keyed table a file."""
