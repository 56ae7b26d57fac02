"""Every command that runs or is remembered, newest first."""

from records import facts, newest_first


def main(_):
    return {"result": [found for found in map(facts, newest_first()) if found is not None]}

