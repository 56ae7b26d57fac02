"""Whether a server is there for whoever connects to a port from outside."""

from ports import is_open_to_outside


def main(request):
    return {"result": is_open_to_outside(request["port"])}
