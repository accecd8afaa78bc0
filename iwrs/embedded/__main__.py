"""`python -m iwrs.embedded --state DIR`: run the services and print where they are."""

import argparse
import shlex
import signal
import sys
import threading
from pathlib import Path

from iwrs.embedded import EmbeddedError, Services, start


def export_lines(services: Services) -> list[str]:
    """Shell lines that set one variable for each URL."""
    urls = services.urls
    values = {
        "IWRS_OWNER_DATABASE_URL": urls.owner,
        "IWRS_BLINDED_DATABASE_URL": urls.blinded,
        "IWRS_UNBLINDED_DATABASE_URL": urls.unblinded,
        "IWRS_BLINDED_REDIS_URL": urls.redis_blinded,
        "IWRS_UNBLINDED_REDIS_URL": urls.redis_unblinded,
    }
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def main(arguments: list[str] | None = None) -> int:
    """Run until Ctrl-C or SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m iwrs.embedded", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path(".iwrs"), help="default: .iwrs")
    parser.add_argument("--redis-port", type=int, help="default: any free port")
    options = parser.parse_args(arguments)
    told_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told_to_stop.set())
    try:
        services = start(options.state, redis_port=options.redis_port)
    except EmbeddedError as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return 1
    with services:
        for note in services.notes:
            print(f"# {note}", file=sys.stderr)  # noqa: T201
        print("\n".join(export_lines(services)), flush=True)  # noqa: T201
        told_to_stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
