"""How fast, beside what else: `python -m tests.bench`. Prints a table; asserts nothing."""
