"""Topics, encoding, signatures and publishing of the messages between Bloxtr8's parts."""
