"""Several Valkey servers that replace one another: behind a Sentinel, and as a Cluster."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from backstay.testing.ports import free_port
from backstay.testing.waiting import until
from tests.services.valkey import ValkeyError, ValkeyServer

SLOTS = 16384
KEY = "backstay:{backstay}:probe"
"""The hash tag that puts every key of the application into one slot of a Cluster."""
ACCOUNT = (
    "on resetchannels ~backstay:* &backstay:* "
    "+@connection +@read +@write +@scripting +@pubsub +time"
)
"""The ACL rules that the application needs."""
AT_ONCE = ("--repl-diskless-sync-delay", "0")


class ValkeyGroup:
    """Servers with one password, and the URL that clients use."""

    def __init__(self, servers: list[ValkeyServer], url: str) -> None:
        self.servers, self.url = servers, url

    def master(self) -> ValkeyServer:
        """The server that takes the application's writes."""
        return _master(self.servers)


@contextmanager
def behind_sentinel() -> Iterator[ValkeyGroup]:
    """A master, its replica, and a Sentinel that replaces the master after half a second."""
    with ExitStack() as started:
        master = started.enter_context(ValkeyServer(*AT_ONCE))
        account = ("--masterauth", master.password)
        replica = ValkeyServer("--replicaof", f"127.0.0.1 {master.port}", *account)
        replica.password = master.password
        started.enter_context(replica)
        until(lambda: "master_link_status:up" in str(replica.call("INFO", "replication")))
        sentinel = ValkeyServer(
            "--sentinel",
            config=f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            f"sentinel auth-pass main {master.password}\n"
            "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n",
        )
        started.enter_context(sentinel)
        until(lambda: "slaves=1" in str(sentinel.call("INFO", "sentinel")))
        sentinel.call("ACL", "SETUSER", "default", "nopass")  # and it knows no other account
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}"  # one of two is not there
        servers = [master, replica]
        yield ValkeyGroup(servers, f"redis+sentinel://{_account(servers)}@{hosts}/main/0")


@contextmanager
def in_cluster() -> Iterator[ValkeyGroup]:
    """Three masters that notice a loss after half a second; the last server is a replica.

    The replica belongs to the master that has the keys of the application.
    """
    with ExitStack() as started:
        servers: list[ValkeyServer] = []
        for _ in range(4):
            server = ValkeyServer(
                *(*AT_ONCE, "--cluster-enabled", "yes", "--cluster-port", str(free_port())),
                *("--cluster-node-timeout", "500", "--cluster-require-full-coverage", "no"),
            )
            server.password = servers[0].password if servers else server.password
            servers.append(started.enter_context(server))
            server.call("CONFIG", "SET", "masterauth", server.password)
        first, *others = servers
        for start, server in enumerate((first, *others[:2])):
            server.call("CLUSTER", "ADDSLOTSRANGE", *_slots(start))
        for server in others:
            port = server.call("CONFIG", "GET", "cluster-port")[1]  # type: ignore[index]
            first.call("CLUSTER", "MEET", "127.0.0.1", server.port, port)
        until(lambda: all(_knows(each, "cluster_known_nodes:4") for each in servers))
        until(lambda: all(_knows(each, "cluster_state:ok") for each in servers))
        owner = _master(servers)
        others[2].call("CLUSTER", "REPLICATE", str(owner.call("CLUSTER", "MYID")))
        until(lambda: "master_link_status:up" in str(others[2].call("INFO", "replication")))
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        yield ValkeyGroup(servers, f"redis+cluster://{_account(servers)}@{hosts}")


def _account(servers: list[ValkeyServer]) -> str:
    """An account on each of them that may do no more than the application needs."""
    for server in servers:
        server.call("ACL", "SETUSER", "app", f">{server.password}", *ACCOUNT.split())
    return f"app:{servers[0].password}"


def _slots(number: int) -> tuple[int, int]:
    """A third of all slots."""
    bounds = (0, SLOTS // 3, 2 * SLOTS // 3, SLOTS)
    return bounds[number], bounds[number + 1] - 1


def _knows(server: ValkeyServer, line: str) -> bool:
    return line in str(server.call("CLUSTER", "INFO"))


def _master(servers: list[ValkeyServer]) -> ValkeyServer:
    return next(each for each in servers if _takes_writes(each))


def _takes_writes(server: ValkeyServer) -> bool:
    try:
        return server.call("SET", KEY, "", "PX", 1, timeout=0.2) == "OK"
    except (OSError, ValkeyError):
        return False
