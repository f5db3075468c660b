"""The health check of an image: exit code 0 when /ready on $PORT says 200, else 1 and the reason."""

from __future__ import annotations

import http.client
import os
import sys

TIMEOUT_S = 4


def main() -> int:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        text = answer.read(200).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        print(f"no answer: {error}")
        return 1
    print(answer.status, text)
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
