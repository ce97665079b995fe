"""Sample feature (soundings of depths): cached queries, and commands that invalidate them."""

from collections.abc import Iterator
from typing import Any

from backstay.caching.steps import QueryCache
from backstay.core.bus import Bus, Next, authorize, handles
from backstay.core.caching import Cached, TagContext
from backstay.core.context import CacheTags, Context, Sender, UnitOfWork
from backstay.core.errors import Conflict, Refusal
from backstay.core.messages import Command, Message, Query, View
from backstay.core.permissions import PUBLIC, SIGNED_IN, PermissionSpec
from backstay.core.ports import Cache
from backstay.core.principal import SYSTEM, Principal
from backstay.core.registry import Registry

READ = PermissionSpec("boats", "read")
DEPTHS: dict[str, int] = {}
asked: list[str] = []


class Depth(View):
    name: str
    metres: int | None


class GetDepth(Query[Depth]):
    permission = READ
    cache = Cached(tags=("depths:{name}",))

    name: str


@handles(GetDepth)
async def get_depth(query: GetDepth) -> Depth:
    asked.append(query.name)
    return Depth(name=query.name, metres=DEPTHS.get(query.name))


class GetShared(Query[Depth]):
    permission = READ
    cache = Cached(shared=True)


@handles(GetShared)
async def get_shared(query: GetShared) -> Depth:
    asked.append("shared")
    return Depth(name="shared", metres=None)


class GetHeir(GetDepth):
    permission = READ


@handles(GetHeir)
async def get_heir(query: GetHeir) -> Depth:
    asked.append(query.name)
    return Depth(name=query.name, metres=None)


class GetRefused(Query[Depth]):
    permission = PUBLIC
    cache = Cached()


@handles(GetRefused)
async def get_refused(query: GetRefused) -> Depth | Refusal:
    asked.append("refused")
    return Refusal(Conflict())


def of_name(context: TagContext) -> Iterator[str]:
    yield f"depths:{context.message.name}"


class Sound(Command[Depth]):
    permission = SIGNED_IN
    touches = (of_name, "by:{principal}")

    name: str
    metres: int
    fails: bool = False


@handles(Sound)
async def sound(command: Sound, send: Sender) -> Depth:
    DEPTHS[command.name] = command.metres
    if command.fails:
        raise Conflict
    return await send.as_system()(GetDepth(name=command.name))


class SoundAll(Command[None]):
    permission = SIGNED_IN

    metres: int


@handles(SoundAll)
async def sound_all(command: SoundAll, send: Sender, tags: CacheTags) -> None:
    for name in ("a", "b"):
        await send(Sound(name=name, metres=command.metres))
    tags.touch("all")
    tags.forget("key")
    tags.forget_matching("log:*")


def transaction(message: type[Message[Any]], call_next: Next) -> Next:
    """Replaces the transaction step, without a database."""

    async def run(context: Context) -> Any:
        if context.unit_of_work is not None:
            return await call_next(context)
        unit = context.unit_of_work = UnitOfWork(object())
        result = await call_next(context)
        for act in unit.after_commit:
            await act()
        return result

    return run


class Harness:
    """The bus of one process over one cache, and senders to use them."""

    def __init__(self, cache: Cache, version: str = "1", ttl: int = 30) -> None:
        registry = Registry([get_depth, get_shared, get_heir, get_refused, sound, sound_all])
        kept = QueryCache(cache, ttl, version)
        providers: dict[Any, Any] = {
            Sender: lambda context: context.sender.inside(context),
            CacheTags: lambda context: context.unit.tags,
        }
        self.bus = Bus(registry)
        self.bus.route(Command, (authorize, transaction, kept.outdate), providers)
        self.bus.route(Query, (authorize, kept.answer), providers)
        assert registry.faults == []

    def sender(self, principal: Principal = SYSTEM) -> Sender:
        return Sender(self.bus.send, principal)
