"""`python -m servers.echo --flag=value`."""

from __future__ import annotations

import sys

from servers.common.serve import serve
from servers.common.settings import parse
from servers.common.threads import pin_blas_threads
from servers.echo.settings import Settings


def main() -> int:
    """Settings first, so that a typo is told before anything heavy is imported."""
    pin_blas_threads()
    settings = parse(Settings, sys.argv[1:])
    from servers.echo.app import create_app

    return serve(settings, create_app)


if __name__ == "__main__":
    sys.exit(main())
