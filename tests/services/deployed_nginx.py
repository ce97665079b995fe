"""The deployed nginx for tests: the rendered configuration with other ports and places."""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from backstay.blueprints.deploying import DeployOptions, render_deploy
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT
from tests.services.nginx import binary, nginx_of, temp_paths

DOMAIN = "api.example.com"
CLIENT = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""Other systems have one local address only, so that nginx and its clients share it."""
OPTIONS = DeployOptions(
    name="shop", domain=DOMAIN, body=1000, uploads=(("/api/v1/photos/{id}", 1_000_000),)
)
_CERTIFY = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
    *("-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN},IP:127.0.0.1"),
    *("-keyout", "privkey.pem", "-out", "fullchain.pem"),
)


@dataclass
class Nginx:
    """A running nginx: its folder, and its ports with and without TLS."""

    folder: Path
    tls: int
    plain: int

    @property
    def command(self) -> tuple[str, ...]:
        """The command that checks its configuration or tells it to read that again."""
        log = str(self.folder / "error.log")
        return (binary(), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", log)

    @property
    def trust(self) -> ssl.SSLContext:
        """Trusts the certificate that was made for it."""
        return ssl.create_default_context(cafile=self.folder / "tls/fullchain.pem")

    def client(self) -> httpx.AsyncClient:
        """A client that asks for the domain, at another address than nginx."""
        return httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{self.tls}",
            transport=httpx.AsyncHTTPTransport(verify=self.trust, local_address=CLIENT),
            headers={"Host": DOMAIN},
            timeout=LIMIT,
        )


@contextmanager
def deployed(
    folder: Path,
    *servers: int,
    options: DeployOptions = OPTIONS,
    read_seconds: int = 1,
    reloads: bool = False,
) -> Iterator[Nginx]:
    """The rendered configuration with other ports and places, which must all be found in it.

    With ``reloads`` it can be told to read it again: a master process starts other ones then.
    """
    found = Nginx(folder, free_port(), free_port())
    files = {
        path.removeprefix("deploy/nginx/"): text
        for path, text in render_deploy(options).items()
        if path.startswith("deploy/nginx/")
    }
    files["nginx.conf"] = _replaced(
        files["nginx.conf"],
        {
            "listen 443 ": f"listen 127.0.0.1:{found.tls} ",
            "listen 80 ": f"listen 127.0.0.1:{found.plain} ",
            "127.0.0.1:8081": f"127.0.0.1:{free_port()}",
            "listen [::]": "# listen [::]",
            "/run/nginx.pid": "nginx.pid",
            "/etc/ssl/shop/": "tls/",
            "/var/log/nginx/": "",
            "/var/www/acme": f"{folder}/acme",
            "worker_processes auto": "worker_processes 1",
            "http {": f"http {{ {temp_paths()}",
        },
    )
    lines = " ".join(f"server 127.0.0.1:{port} max_fails=1 fail_timeout=2s;" for port in servers)
    assert "server api:" in files["servers.conf"]
    files["servers.conf"] = lines
    files["proxy.conf"] = _replaced(
        files["proxy.conf"],
        {"proxy_read_timeout 120s": f"proxy_read_timeout {read_seconds}s"},
    )
    for path, text in files.items():
        (folder / path).write_text(text)
    (folder / "tls").mkdir()
    subprocess.run(_CERTIFY, cwd=folder / "tls", check=True, capture_output=True)
    processes = "user root;" if reloads and os.geteuid() == 0 else ""
    processes = processes if reloads else "master_process off;"
    with nginx_of(folder / "nginx.conf", found.tls, f"daemon off; {processes}"):
        yield found


def _replaced(text: str, others: dict[str, str]) -> str:
    for old, new in others.items():
        assert old in text
        text = text.replace(old, new)
    return text
