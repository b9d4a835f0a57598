"""One agent a file: decode, call the domain, store, publish."""
