"""How the keys of this application are named, apart from what connects to a server."""

from backstay.settings import RedisAddress


def prefix_of(address: RedisAddress) -> str:
    """The prefix of all keys. In a Cluster its hash tag puts all keys into one slot and so on one
    server: a script requires that of its keys, and only one server keeps messages in order."""
    return "backstay:{backstay}:" if address.is_cluster else "backstay:"
