"""Exit 0 when the app on this machine is not down: a container's or a supervisor's check.

The address can be given as an argument.
"""

import os
import sys
import urllib.request

URL = "http://127.0.0.1:8501/api/health"


def main(url: str = URL) -> int:
    """Ask once; a degraded app is up, a silent or failed one is not."""
    token = os.environ.get("PAIRS_API_TOKEN", "")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:  # an answer with an error's status is one, too
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
