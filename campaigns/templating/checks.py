"""What a message's template may say, looked at before anything of it is compiled."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from jinja2 import nodes

from campaigns.templating.filters import FILTERS

DEEPEST_LOOP = 2

# What is personal, so that it may be missing; the fields of all else are always there.
PERSONAL = "customer"
FIELDS: Mapping[str, Collection[str] | None] = {
    PERSONAL: None,
    "offer": ("key", "name", "headline", "text", "link", "image", "products"),
    "campaign": ("key", "name"),
    "message": ("language", "unsubscribe_url", "date"),
    # The addresses of a mail's links as they are followed; put in where it is compiled.
    "links": None,
}
TESTS = frozenset({"defined", "undefined", "none", "string", "number", "in", "eq", "ne"})

_ALLOWED_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Name,
    nodes.Getattr, nodes.Getitem, nodes.Const, nodes.Filter, nodes.Test, nodes.Compare,
    nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.List, nodes.Tuple,
    nodes.Keyword, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.Neg, nodes.Pos,
)  # fmt: skip


class BadTemplate(ValueError):
    """A template that cannot be used, and why, in words for whoever wrote it."""


def check_tree(tree: nodes.Template) -> None:
    """See that a template names what is known, writes nothing that may be missing, and no more.

    Raises:
        BadTemplate: It does not.
    """
    for node in _walk(tree):
        if not isinstance(node, _ALLOWED_NODES):
            word = type(node).__name__.lower()
            raise BadTemplate(f"Line {node.lineno}: “{word}” cannot be used in a message.")
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            known = ", ".join(sorted(FILTERS))
            raise BadTemplate(f"Line {node.lineno}: there is no filter “{node.name}”; use {known}.")
        if isinstance(node, nodes.Test) and node.name not in TESTS:
            raise BadTemplate(f"Line {node.lineno}: there is no test “{node.name}”.")
        if getattr(node, "dyn_args", None) or getattr(node, "dyn_kwargs", None):
            raise BadTemplate(f"Line {node.lineno}: “*” cannot be used in a message.")
    _check_loops(tree, depth=0)
    personal = _personal_names(tree)
    _check_names(tree, personal)
    missing = list(dict.fromkeys(_missing_fallbacks(tree, personal)))
    if missing:
        raise BadTemplate(
            "Say what is written where it is not known: "
            + "; ".join(f'{{{{ {name} | default("…") }}}}' for name in missing)
        )


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _check_loops(node: nodes.Node, *, depth: int) -> None:
    if isinstance(node, nodes.For):
        depth += 1
        is_plain = isinstance(node.iter, nodes.Name | nodes.Getattr | nodes.Getitem)
        if depth > DEEPEST_LOOP or not is_plain or node.recursive:
            raise BadTemplate(
                f"Line {node.lineno}: a loop goes over a list that is known of the customer, "
                f"at most {DEEPEST_LOOP} in one another."
            )
        if not isinstance(node.target, nodes.Name) or node.target.name in {*FIELDS, "loop"}:
            raise BadTemplate(f"Line {node.lineno}: give what the loop goes over another name.")
    for child in node.iter_child_nodes():
        _check_loops(child, depth=depth)


def _path(node: nodes.Node) -> list[str] | None:
    """Return the names of `a.b["c"]`; None where it is something else."""
    names: list[str] = []
    at: nodes.Node = node
    while not isinstance(at, nodes.Name):
        if isinstance(at, nodes.Getattr):
            names.append(at.attr)
        elif isinstance(at, nodes.Getitem) and isinstance(at.arg, nodes.Const):
            names.append(str(at.arg.value))
        else:
            return None
        at = at.node
    return [at.name, *reversed(names)]


def _personal_names(tree: nodes.Node) -> set[str]:
    """Return the names of what is personal: the customer, and what loops go over."""
    loops = {
        node.target.name
        for node in _walk(tree)
        if isinstance(node, nodes.For) and isinstance(node.target, nodes.Name)
    }
    return {PERSONAL, *loops}


def _check_names(tree: nodes.Node, personal: set[str]) -> None:
    for node in _walk(tree):
        if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Const):
            raise BadTemplate(f"Line {node.lineno}: write a name or a number in the brackets.")
        if not isinstance(node, nodes.Name | nodes.Getattr | nodes.Getitem):
            continue
        path = _path(node)
        if path is None:
            raise BadTemplate(f"Line {node.lineno}: only what has a name has fields.")
        if path[0] in personal or path[0] == "loop":
            continue
        if path[0] not in FIELDS:
            known = ", ".join(sorted(FIELDS))
            raise BadTemplate(f"Line {node.lineno}: “{path[0]}” is not known; there are {known}.")
        fields = FIELDS[path[0]]
        if fields is not None and len(path) > 1 and path[1] not in fields:
            known = ", ".join(fields)
            raise BadTemplate(f"Line {node.lineno}: “{'.'.join(path)}” is none of {known}.")


def _missing_fallbacks(node: nodes.Node, personal: set[str]) -> Iterator[str]:
    """Yield what would be written without a fallback."""
    if isinstance(node, nodes.Output):
        for written in node.nodes:
            yield from _unguarded(written, personal)
        return
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.Stmt):
            yield from _missing_fallbacks(child, personal)


def _unguarded(node: nodes.Node, personal: set[str]) -> Iterator[str]:
    path = _path(node)
    if path is not None:
        if path[0] in personal:
            yield ".".join(path)
        return
    parts: Iterable[nodes.Node] = node.iter_child_nodes()
    if isinstance(node, nodes.Filter) and node.name in {"default", "d"} and node.args:
        # What stands in the fallback has to be there as well.
        parts = node.args
    elif isinstance(node, nodes.Filter) and node.name == "length":
        # Of what is missing it is 0.
        parts = ()
    elif isinstance(node, nodes.CondExpr):
        parts = [branch for branch in (node.expr1, node.expr2) if branch is not None]
    for part in parts:
        yield from _unguarded(part, personal)
