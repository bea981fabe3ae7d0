#!/usr/bin/env python3
"""Say by the exit code whether what this container runs is well: `health.py ray`, `server` or `worker`.

It imports no package: a check every 30 s must cost nothing.
"""

import sys
import urllib.error
import urllib.request

ADDRESSES = {
    # Ray's agent: asks for no token, and answers 503 when the raylet, or on the head the GCS, does not answer it
    "ray": "http://127.0.0.1:52365/api/healthz",
    "server": "http://127.0.0.1:4200/api/ready",
    # `prefect worker start --with-healthcheck`: 503 when it has not polled for a while
    "worker": "http://127.0.0.1:8080/health",
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in ADDRESSES:
        print(f"health.py: say what to ask: {', '.join(ADDRESSES)}", file=sys.stderr)
        return 2
    address = ADDRESSES[arguments[0]]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy of the environment is asked
    try:
        with opener.open(address, timeout=8) as answer:
            print(answer.status)
            return 0
    except (urllib.error.URLError, OSError) as error:
        print(f"{address}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
