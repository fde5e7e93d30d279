"""`python -m relayfleet` and the `fleet` script."""

import sys


def main() -> int:
    from relayfleet.cli.entry import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
