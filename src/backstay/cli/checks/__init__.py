"""What `doctor` looks at: a module per group of checks, a function per check.

A check registers itself (`finding.check`) when its module is imported, which only that command
does. It may look at everything, and changes nothing.
"""

from importlib import import_module

from backstay.cli.checks.finding import CHECKS, Check, Finding, Severity
from backstay.cli.checks.running import Outcome, Run
from backstay.cli.checks.subject import Subject

__all__ = ["CHECKS", "Check", "Finding", "Outcome", "Run", "Severity", "Subject"]

GROUPS = "project", "host", "secrets", "server", "database", "redis", "jobs", "backups", "mail"
"""The groups of checks, which are modules here, in the order in which they are shown."""

for _group in GROUPS:
    import_module(f"{__name__}.{_group}")
