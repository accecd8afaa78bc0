"""`eval "$(python -m trial.demo.blinded_login)"`: psql as the portal's own login, in the demo."""

import argparse
import json
import shlex
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Print shell lines that point psql at the running demonstration."""
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument("--state", type=Path, default=root / ".iwrs")
    where = parser.parse_args(arguments).state / "blinded-login.json"
    if not where.exists():
        sys.stderr.write(f"{where} is not there. Start the demonstration with: make demo\n")
        return 1
    for name, value in json.loads(where.read_text(encoding="utf-8")).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
