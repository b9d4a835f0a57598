"""The bloxtr8 command and the Faust CLI commands."""
