"""Ends with 0 while something runs that somebody may still ask for, and with 1 where the container may sleep."""

import sys

from calls import is_anybody_at_work


def main():
    return 0 if is_anybody_at_work() else 1


if __name__ == "__main__":
    sys.exit(main())
