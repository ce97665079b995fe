"""The command `add`: writes entities and parts into a project, or adds to what is there."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.options import Abort, DryRun, Force, Resume

if TYPE_CHECKING:
    from backstay.blueprints.entities.description import Entity
    from backstay.blueprints.entities.existing import Project


def add(
    name: Annotated[
        str | None, typer.Argument(help="The entity, in the singular: Rig; or a kind of part.")
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            help="Fields, in quotes: 'name:str:200!' 'depth:float?' 'site:ref(Site)' "
            "'status:draft,placed,paid' 'price:money' 'count:int=0'; ! is unique, ? may be null."
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Many entities: a file such as entities.json."),
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FEATURE",
            help="A part of this feature: add job SendReceipt --to orders. There are job, event, "
            "schedule, report, upload, stream, webhook, router, setting and role.",
        ),
    ] = "",
    plural: Annotated[
        str, typer.Option("--plural", help="Table, feature and address, if it is no usual plural.")
    ] = "",
    owned: Annotated[
        bool, typer.Option("--owned", help="Rows belong to whoever creates them.")
    ] = False,
    soft_delete: Annotated[
        bool, typer.Option("--soft-delete", help="Deleted rows are hidden, and can be restored.")
    ] = False,
    children: Annotated[
        list[str] | None,
        typer.Option("--children", help="Rows of a row: 'lines:article:str,quantity:int'."),
    ] = None,
    transitions: Annotated[
        str,
        typer.Option("--transitions", help="Commands that change the status: place,pay,cancel."),
    ] = "",
    dry_run: DryRun = False,
    force: Force = False,
    resume: Resume = False,
    abort: Abort = False,
) -> None:
    """Write a feature, or a part of one, with its tests; run again, it adds what is new.

    The migration that its tables need is written, too. Types: str text int float bool datetime date
    decimal money uuid json, ref(Site), and values between commas.
    """
    from backstay.cli.planned import settled

    if settled(resume=resume, abort=abort):
        return
    from backstay.blueprints.entities.command_line import entity_of
    from backstay.blueprints.entities.existing import Project
    from backstay.blueprints.entities.json_file import entities_of
    from backstay.blueprints.errors import BlueprintError
    from backstay.blueprints.parts.description import KINDS

    if to or name in KINDS:
        if source or plural or owned or soft_delete or children or transitions:
            raise typer.BadParameter("a part has --to and none of the options of an entity")
        _add_part(name or "", fields or [], to, dry_run=dry_run, force=force)
        return
    described = bool(name or fields or plural or owned or soft_delete or children or transitions)
    if described == (source is not None) or (described and not name):
        raise typer.BadParameter(
            "name an entity with its fields, as in: backstay add Rig 'name:str:200!', or a file: "
            "backstay add --from entities.json"
        )
    project = Project.of(Path.cwd())
    if source is not None:
        told, problems = entities_of(source, project.entities)
        _tell_left_out(project, told)
    else:
        entity, problems = entity_of(
            name or "",
            fields or (),
            plural_name=plural,
            owned=owned,
            soft_delete=soft_delete,
            children=children or (),
            transitions=transitions,
            before=project.entities.get(name or ""),
        )
        told = [entity]
    if problems:
        raise BlueprintError(*problems, usage=True)
    _add(project, told, dry_run=dry_run, force=force)


def _add(project: "Project", told: "list[Entity]", *, dry_run: bool, force: bool) -> None:
    from backstay.blueprints.entities.adding import addition
    from backstay.cli.planned import begin, carry_out, tell

    begin(project.root, force=force or dry_run)
    added = addition(project, told, tell)
    if carry_out(added.plan, dry_run=dry_run):
        tests = " ".join(
            change.path for change in added.plan.changes if change.path.startswith("tests/")
        )
        typer.echo("\nRun next:")
        if added.migration:
            typer.echo(f"  backstay db upgrade  # applies {added.migration}: read it first")
        typer.echo(f"  pytest {tests}")
        typer.echo("  git add -A && git commit")


def _tell_left_out(project: "Project", told: "list[Entity]") -> None:
    from backstay.blueprints.entities.changing import left_out
    from backstay.blueprints.words import listed
    from backstay.cli.planned import tell

    for entity in told:
        before = project.entities.get(entity.name)
        if before and (names := left_out(before, entity)):
            tell(
                f"{entity.name}: no longer in the file, but kept, as add removes nothing: "
                f"{listed(sorted(names))}. Take a field out of the code yourself, then write the "
                "migration: backstay db revision 'What changed'"
            )


def _add_part(kind: str, names: list[str], to: str, *, dry_run: bool, force: bool) -> None:
    from backstay.blueprints.entities.existing import Project
    from backstay.blueprints.parts.adding import part_addition
    from backstay.blueprints.parts.description import KINDS, part_of
    from backstay.cli.planned import begin, carry_out, tell

    if kind not in KINDS:
        raise typer.BadParameter(f"{kind!r} is no kind of part. There are: {', '.join(KINDS)}")
    if len(names) != 1 or not to:
        raise typer.BadParameter(
            "name the kind of part, the part and its feature, as in: backstay add "
            f"{kind} {KINDS[kind]} --to orders"
        )
    part = part_of(kind, names[0], to)
    project = Project.of(Path.cwd())
    begin(project.root, force=force or dry_run)
    plan = part_addition(project, part, tell)
    if carry_out(plan, dry_run=dry_run):
        tests = [each.path for each in plan.changes if each.path.startswith("tests/")]
        typer.echo(f"\nRun next:\n  pytest {' '.join(tests)}\n  git add -A && git commit")
        if kind == "webhook":
            typer.echo(
                f"  backstay config  # shows the variable of {part.one}_secret: set it, since the "
                "webhook answers 503 until then"
            )
