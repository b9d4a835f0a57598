"""Write down the SQL of the migration steps; with --check, tell whether all of it is there."""

import asyncio
import sys

from bloxtr8.store import steps


def main() -> int:
    if "--check" in sys.argv[1:]:
        for name in steps.stale():
            sys.stderr.write(f"{name} has no SQL of its own: run `make migrations`\n")
        return 1 if steps.stale() else 0
    for name in asyncio.run(steps.write()):
        sys.stdout.write(f"{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
