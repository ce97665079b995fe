"""The commands `deploy …`: write the files by which a project is deployed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.options import Abort, DryRun, Force, Resume

if TYPE_CHECKING:
    from backstay.application import Application
    from backstay.blueprints.deploying import DeployOptions
    from backstay.settings import Settings

_IN_PRODUCTION = {
    "ENVIRONMENT": "production",
    "DB_URL": "postgresql://postgres/deployed",
    "REDIS_URL": "redis://valkey",
}
"""What the deploy files bring, so that settings are judged as they will be."""

deploy = typer.Typer(
    name="deploy",
    help="Write the files by which the project is deployed; run again, it merges.",
    no_args_is_help=True,
)


@deploy.callback()
def _group() -> None:
    """Keeps `init` a command of its own while it is the only one."""


@deploy.command()
def init(
    domain: Annotated[
        str | None, typer.Option(help="Where it is reached; api.example.com unless you say so.")
    ] = None,
    servers: Annotated[
        int | None, typer.Option(help="How many servers run, on machines or in containers; 1.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="How many `backstay worker` run; 1.")] = None,
    dry_run: DryRun = False,
    force: Force = False,
    resume: Resume = False,
    abort: Abort = False,
) -> None:
    """Write deploy/: image, compose, systemd, nginx, Kubernetes, and what they are configured with.

    Memory, connections and times are computed from the settings in force, as production reads
    them: SERVER_WORKERS=4 backstay deploy init. Run again, it keeps what was chosen and what you
    changed.
    """
    from backstay.cli.planned import begin, carry_out, settled

    if settled(resume=resume, abort=abort):
        return
    from backstay.blueprints.deploying import check, render_deploy
    from backstay.blueprints.ejecting import home_of
    from backstay.blueprints.tree import Plan

    root, home = home_of(Path.cwd())
    given = {"domain": domain, "servers": servers, "workers": workers}
    options = _options(root, home.package, {name: each for name, each in given.items() if each})
    check(options)
    begin(root, force=force or dry_run)
    if carry_out(Plan.of(root, render_deploy(options), options.record), dry_run=dry_run):
        _tell(options)


def _options(root: Path, package: str, given: dict[str, str | int]) -> "DeployOptions":
    """What is said now, else what was said before, else what the settings say by default."""
    import os

    from backstay.application import application_in_use
    from backstay.blueprints.deploying import KIND, SIZES, DeployOptions, chosen
    from backstay.blueprints.records import record_of
    from backstay.settings import ConfigurationError, read_settings

    application = application_in_use()
    environ = {**os.environ, **_IN_PRODUCTION}
    loaded = read_settings(environ, root, application.settings)
    if wrong := [each for each in loaded.errors if each.variable in SIZES.values()]:
        raise ConfigurationError(wrong)
    record = record_of(root, KIND, package)
    said = chosen(loaded.draft)
    if record:
        said = {
            name: each for name, each in said.items() if loaded.origins[SIZES[name]] != "default"
        }
    before = record.options if record else {}
    uploads = sorted(_uploads(application, loaded.draft))
    return DeployOptions(**{**before, **said, **given, "name": package, "uploads": uploads})


def _uploads(application: "Application", settings: "Settings") -> Iterator[tuple[str, int]]:
    """The routes that take larger bodies than others, with the most bytes of each."""
    application.check()
    for feature in application.features or ():
        for table in feature.routes:
            for route in table.build(settings.app.root_path):
                most = route.spec.upload_bytes
                if most is not None and most > settings.server.max_body_bytes:
                    yield route.path, most


def _tell(options: "DeployOptions") -> None:
    needs = options.budget
    typer.echo(
        f"\nPostgreSQL must accept {needs.max_connections} connections; a server may use "
        f"{needs.api_mib} MiB and take {needs.api_stop_seconds} s to stop. "
        "deploy/README.md shows how that is computed."
    )
    typer.echo("\nRun next:")
    typer.echo("  git add -A && git commit")
    typer.echo("  cd deploy && sh prepare.sh && docker compose up --build --detach")
