"""Renames in a project's code the public names that a release renamed.

libcst tells what a name means, so that others of the same spelling stay as they are. It is
imported by `backstay upgrade` alone, in a scratch environment: the extra ``upgrade``.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from backstay.blueprints.releases import number_of

if TYPE_CHECKING:
    import libcst as cst

RENAMES: Mapping[str, Mapping[str, str]] = {}
"""By release: public names as they were and as they are now, each with its module and, if it is a
member, its class: ``{"0.2.0": {"backstay.Reader": "backstay.ReadSession"}}``; an argument that is
given by its name is in brackets: ``backstay.handles(instead_of)``. Names stay in their modules."""


def renames_between(old: str, new: str) -> list[Mapping[str, str]]:
    """The renames of the releases after one, up to another, the oldest first."""
    releases = sorted(RENAMES, key=number_of)
    return [
        RENAMES[each] for each in releases if number_of(old) < number_of(each) <= number_of(new)
    ]


def renamed(text: str, renames: Sequence[Mapping[str, str]]) -> str:
    """The Python text with the names of today; a text that does not parse is left alone."""
    import libcst as cst  # noqa: PLC0415

    for each in renames:
        if any(_last(name) in text for name in each):
            try:
                module = cst.parse_module(text)
            except cst.ParserSyntaxError:
                return text
            text = _renamed(module, each)
    return text


def _renamed(module: "cst.Module", renames: Mapping[str, str]) -> str:
    from libcst.metadata import (  # noqa: PLC0415
        MetadataWrapper,
        QualifiedNameProvider,
        QualifiedNameSource,
    )

    wrapper = MetadataWrapper(module)
    meanings = wrapper.resolve(QualifiedNameProvider)

    def meanings_of(node: Any) -> Iterator[str]:
        told = meanings.get(node, ())
        for each in cast("Any", told() if callable(told) else told):
            if each.source is QualifiedNameSource.IMPORT:
                yield each.name

    return wrapper.module.visit(_transformer(renames, meanings_of)).code


def _transformer(renames: Mapping[str, str], meanings_of: Any) -> "cst.CSTTransformer":
    """What renames the nodes of a module."""
    import libcst as cst  # noqa: PLC0415

    class Renaming(cst.CSTTransformer):
        """Renames what is imported, then each use of it."""

        def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.Name:  # noqa: N802
            new = _new_name(original_node.value, meanings_of(original_node), renames)
            return updated_node.with_changes(value=new) if new else updated_node

        def leave_Attribute(  # noqa: N802
            self, original_node: cst.Attribute, updated_node: cst.Attribute
        ) -> cst.Attribute:
            new = _new_name(original_node.attr.value, meanings_of(original_node), renames)
            if new is None:
                return updated_node
            return updated_node.with_changes(attr=cst.Name(new))

        def leave_Call(  # noqa: N802
            self, original_node: cst.Call, updated_node: cst.Call
        ) -> cst.Call:
            called = {*meanings_of(original_node.func)}
            arguments = []
            for each in updated_node.args:
                spelt = each.keyword.value if each.keyword else ""
                [new] = {renames.get(f"{name}({spelt})") for name in called} or {None}
                keyword = cst.Name(_last(new)) if new else each.keyword
                arguments.append(each.with_changes(keyword=keyword))
            return updated_node.with_changes(args=arguments)

        def leave_ImportFrom(  # noqa: N802
            self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
        ) -> cst.ImportFrom:
            if isinstance(updated_node.names, cst.ImportStar) or original_node.module is None:
                return updated_node
            place = cst.Module([]).code_for_node(original_node.module)
            names = []
            for alias in updated_node.names:
                name = str(alias.name.value)
                new = renames.get(f"{place}.{name}")
                names.append(alias.with_changes(name=cst.Name(_last(new))) if new else alias)
            return updated_node.with_changes(names=names)

    return Renaming()


def _new_name(spelt: str, meanings: Iterator[str], renames: Mapping[str, str]) -> str | None:
    """What this is called now, if it is spelt as the renamed name and means nothing else."""
    found = {renames.get(each) for each in meanings}
    if len(found) != 1:
        return None
    [new] = found
    old = next((name for name, now in renames.items() if now == new), "")
    return _last(new) if new and spelt == _last(old) else None


def _last(name: str) -> str:
    """The word that is spelt in code: that of an argument is in brackets."""
    return name.rpartition("(" if name.endswith(")") else ".")[2].removesuffix(")")
