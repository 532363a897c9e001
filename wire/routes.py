"""Finds the handler of a method and a path, some of whose segments may be templates."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from wire.messages import Request, Response, Stream

Handler = Callable[[Request], Awaitable[Response | Stream]]
Routes = Mapping[tuple[str, str], Handler]
NO_PARAMS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Resource:
    """What is served at one path or template: its handlers by method."""

    template: str
    handlers: Mapping[str, Handler]

    @property
    def allowed(self) -> str:
        """The methods, as an `Allow` header lists them."""
        return ", ".join(sorted({*self.handlers, "OPTIONS"}))


class Router:
    """Finds resources: plain paths at once, the few with one `{name}` in them after that."""

    def __init__(self, routes: Routes) -> None:
        """Keep the routes; whoever serves GET serves HEAD."""
        self.resources: dict[str, Resource] = {}
        for template in {path: None for _, path in routes}:
            handlers = {method: h for (method, path), h in routes.items() if path == template}
            if "GET" in handlers:
                handlers.setdefault("HEAD", handlers["GET"])
            self.resources[template] = Resource(template, handlers)
        self._plain = {path: found for path, found in self.resources.items() if "{" not in path}
        read = [_Template.read(found) for path, found in self.resources.items() if "{" in path]
        # Most are open at the end, and found by what stands before it.
        self._open_ended = {one.before: one for one in read if not one.after}
        self._templates = [one for one in read if one.after]

    def find(self, path: str) -> tuple[Resource, Mapping[str, str]] | None:
        """Return what is served at a path, with the values of its template; None if nothing is."""
        plain = self._plain.get(path)
        if plain is not None:
            return plain, NO_PARAMS
        end = path.rfind("/") + 1
        open_ended = self._open_ended.get(path[:end])
        if open_ended is not None and end < len(path):
            return open_ended.resource, {open_ended.name: path[end:]}
        for template in self._templates:
            value = template.value_in(path)
            if value is not None:
                return template.resource, {template.name: value}
        return None


@dataclass(frozen=True, slots=True)
class _Template:
    """A path with one segment left open."""

    resource: Resource
    before: str
    name: str
    after: str

    @classmethod
    def read(cls, resource: Resource) -> "_Template":
        before, _, rest = resource.template.partition("{")
        name, _, after = rest.partition("}")
        return cls(resource, before, name, after)

    def value_in(self, path: str) -> str | None:
        """Return what stands in the open segment, if the path is of this template."""
        if not (path.startswith(self.before) and path.endswith(self.after)):
            return None
        value = path[len(self.before) : len(path) - len(self.after)]
        return value if value and "/" not in value else None
