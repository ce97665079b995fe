"""Where a server will listen."""

import errno
import os
import socket

import typer


def free_address(host: str, port: int) -> tuple[str, int]:
    """The address in numbers, after trying it: the server itself would share a port in use.

    Raises:
        typer.Exit: nobody can listen there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            wrong = f"Port {port} of {host} is in use."
            mend = "Stop what listens there, or choose another with SERVER_PORT or --port."
        else:
            unknown = isinstance(error, socket.gaierror)
            reason = error.strerror if unknown else os.strerror(error.errno or 0)
            wrong = f"Cannot listen on port {port} of {host}: {reason}."
            mend = "Look at SERVER_HOST and SERVER_PORT, or --host and --port."
        typer.echo(f"{wrong} {mend}", err=True)
        raise typer.Exit(1) from error
    return str(address[0]), port
