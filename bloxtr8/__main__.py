"""`python -m bloxtr8`: the bloxtr8 command where its script is not installed."""

from bloxtr8.cli.main import main

main()
