"""Which TCP ports somebody listens on where `localhost` leads to."""

LISTENS = "0A"
#: As /proc spells them, in the machine's byte order: any address, ::1, and 127.0.0.0/8 as it is or within IPv6.
ANY = {"0" * 8, "0" * 32}
LOOPBACK_6 = "00000000000000000000000001000000"
LOOPBACK_4_ENDS_WITH = "7F"


def is_listened_on(port):
    return any(_is_local(address) for address, its_port in _listeners() if its_port == port)


def is_open_to_outside(port):
    """The platform comes by an interface of its own: what listens at loopback alone is not there for it."""
    return any(address in ANY for address, its_port in _listeners() if its_port == port)


def _listeners():
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{name}") as table:
                rows = table.readlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTENS:
                address, _, port = fields[1].partition(":")
                yield address, int(port, 16)


def _is_local(address):
    return address in ANY or address == LOOPBACK_6 or address.endswith(LOOPBACK_4_ENDS_WITH)
