"""The command `create-tier`: creates a tier of users, with rate limits."""

import asyncio
from typing import Annotated

import typer
from pydantic import ValidationError

from backstay.application import application_in_use
from backstay.cli.operators import operator_here, sender_of
from backstay.cli.output import refusal
from backstay.cli.readiness import opened
from backstay.core.errors import FieldError, Invalid
from backstay.core.rates import Rate
from backstay.features.tiers.commands.rate_limits import CreateTierWithLimits, PathLimit
from backstay.settings import Settings, parse_rate


def create_tier(
    name: Annotated[str, typer.Argument(help="Name of the tier.")],
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH=LIMIT/PERIOD",
            help="A rate limit; the period is second, minute, hour, day or a number of seconds.",
        ),
    ] = None,
) -> None:
    """Create a tier, with rate limits if wanted.

    A path is the template of a route, such as /api/v1/items/{id}, or a prefix such as /api/v1/*.
    """
    settings = application_in_use().load_settings()
    try:
        limits = tuple(map(_parsed, limit or ()))
        asyncio.run(_create(settings, CreateTierWithLimits(name=name, limits=limits)))
    except ValidationError as error:
        raise refusal(error) from None
    typer.echo(f"Created the tier {name}.")


def _parsed(text: str) -> PathLimit:
    path, _, written = text.rpartition("=")
    amount, _, period = written.partition("/")
    try:
        digits = amount.isdecimal() and period.isdecimal()
        rate = Rate(int(amount), int(period)) if digits else parse_rate(written)
    except ValueError:
        hint = "Write PATH=LIMIT/PERIOD, such as /api/v1/items*=20/minute"
        raise Invalid(errors=(FieldError("--limit", "rate", hint),)) from None
    return PathLimit(path=path, limit=rate.limit, period=rate.period)


async def _create(settings: Settings, command: CreateTierWithLimits) -> None:
    async with opened(settings) as backstay:
        await sender_of(backstay, operator_here())(command)
