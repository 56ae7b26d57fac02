"""Every command that runs or is remembered, newest first."""

from output import emit
from records import facts, newest_first


def main():
    return {"result": [found for found in map(facts, newest_first()) if found is not None]}


if __name__ == "__main__":
    emit(main())
