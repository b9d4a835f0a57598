"""The image's health check: is this container's worker alive?"""

import sys
from urllib.error import URLError
from urllib.request import urlopen

from bloxtr8.config import Settings

_SECONDS_MAX = 4.0


def main() -> int:
    """Return 0 when /health of this machine's worker answers 200, else 1."""
    url = f"http://127.0.0.1:{Settings().web.port}/health"
    try:
        with urlopen(url, timeout=_SECONDS_MAX) as answer:
            return 0 if answer.status == 200 else 1
    except (URLError, TimeoutError):
        return 1


if __name__ == "__main__":
    sys.exit(main())
