"""Every route that changes something leads to a line of the audit trail: read from the source, route by route.

The walk follows names from a handler through the control plane's modules: functions, methods of the same object, tables
of actions. That a service audits each change once is what tests/integration says of it; here no route can be forgotten.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from types import FunctionType
from typing import Any

import pytest

from models_admin.api.urls import urlpatterns as api_patterns
from models_admin.dashboard.urls import urlpatterns as page_patterns
from tests.architecture.sources import modules

AUDIT = ("models_admin.services.writing", "audit")
CHANGING = ("post", "put", "patch", "delete")
NOT_CHANGES = {
    "infer": "a request to a model",
    "infer-version": "a request to a model",
    "infer-label": "a request to a model",
    "language": "a cookie of the visitor's own",
    "login": "a session of the visitor's own; wrong passwords are counted (dashboard/login_limit.py)",
    "logout": "a session of the visitor's own",
    "model-policy-preview": "what a change would do; nothing is saved",
}
"""Routes that take a change's method, and why they need no line."""

Node = tuple[str, str]


class Sources:
    """Every function, method and table of the control plane by (module, name), with the names that it uses."""

    def __init__(self) -> None:
        self.nodes: dict[Node, ast.AST] = {}
        self.imports: dict[str, dict[str, Node]] = {}
        for module in modules("models_admin"):
            name = module.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            self.imports[name] = dict(_imports(module.tree))
            for statement in module.tree.body:
                self._add(name, "", statement)

    def _add(self, module: str, prefix: str, statement: ast.stmt) -> None:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            self.nodes[module, prefix + statement.name] = statement
        elif isinstance(statement, ast.ClassDef) and not prefix:
            for inner in statement.body:
                self._add(module, f"{statement.name}.", inner)
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
                self.nodes[module, prefix + ast.unparse(target)] = statement.value

    def uses(self, node: Node, owner: type | None) -> Iterator[tuple[Node, type | None]]:
        """What a node's source names, as far as it is the control plane's; `owner`: what `self` is."""
        module, _ = node
        for part in ast.walk(self.nodes[node]):
            if isinstance(part, ast.Name):
                yield self._named(module, part.id), None
            elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name):
                if part.value.id in ("self", "cls") and owner is not None:
                    yield from ((found, owner) for found in self._inherited(owner, part.attr))
                elif (there := self.imports[module].get(part.value.id)) is not None:
                    yield self._named(".".join(filter(None, there)), part.attr), None

    def _named(self, module: str, name: str) -> Node:
        """Where `name` is made that `module` knows: there, or where it imports it from."""
        seen = set()
        while (module, name) not in self.nodes and (module, name) not in seen:
            seen.add((module, name))
            module, name = self.imports.get(module, {}).get(name, (module, name))
        return module, name

    def _inherited(self, owner: type, name: str) -> list[Node]:
        keys = [(base.__module__, f"{base.__name__}.{name}") for base in owner.__mro__]
        return [key for key in keys if key in self.nodes][:1]

    def reaches(self, start: Node, owner: type | None) -> bool:
        """Whether the walk from `start` comes to the audit trail."""
        waiting, seen = [(start, owner)], set()
        while waiting:
            node, of = waiting.pop()
            if node == AUDIT:
                return True
            if (node, of) in seen or node not in self.nodes:
                continue
            seen.add((node, of))
            waiting.extend(self.uses(node, of))
        return False


def _imports(tree: ast.Module) -> Iterator[tuple[str, Node]]:
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            for alias in statement.names:
                yield alias.asname or alias.name, (statement.module, alias.name)


@cache
def sources() -> Sources:
    return Sources()


def api_handlers() -> Iterator[tuple[str, str, Node, type]]:
    for pattern in api_patterns:
        view = pattern.callback.view_class
        for method in CHANGING:
            if (handler := getattr(view, method, None)) is not None:
                made_in = next(base for base in view.__mro__ if method in vars(base))
                yield pattern.name, method, (handler.__module__, f"{made_in.__name__}.{method}"), view


def page_handlers() -> Iterator[tuple[str, Node, type | None]]:
    for pattern in page_patterns:
        view: Any = pattern.callback
        if hasattr(view, "view_class"):
            yield pattern.name, (view.view_class.__module__, f"{view.view_class.__name__}.post"), view.view_class
        else:
            inner: FunctionType = inspect.unwrap(view)
            yield pattern.name, (inner.__module__, inner.__qualname__), None


def takes_post(pattern_name: str) -> bool:
    """Whether the page's decorators let a POST through (dashboard/access.py)."""
    pattern = next(found for found in page_patterns if found.name == pattern_name)
    view: Any = pattern.callback
    if hasattr(view, "view_class"):
        return hasattr(view.view_class, "post")
    while view is not None:
        closure = inspect.getclosurevars(view).nonlocals if isinstance(view, FunctionType) else {}
        if "request_method_list" in closure:
            return "POST" in closure["request_method_list"]
        view = getattr(view, "__wrapped__", None)
    return True


API = [
    pytest.param(node, view, id=f"{method} {name}")
    for name, method, node, view in api_handlers()
    if name not in NOT_CHANGES
]
PAGES = [
    pytest.param(node, view, id=name)
    for name, node, view in page_handlers()
    if takes_post(name) and name not in NOT_CHANGES
]


@pytest.mark.parametrize(("handler", "view"), API)
def test_a_change_over_the_api_is_audited(handler: Node, view: type) -> None:
    assert sources().reaches(handler, view)


@pytest.mark.parametrize(("handler", "view"), PAGES)
def test_a_change_on_a_page_is_audited(handler: Node, view: type | None) -> None:
    assert sources().reaches(handler, view)


def test_the_walk_finds_changes_and_tells_reading_from_them() -> None:
    assert len(API) > 30
    assert len(PAGES) > 30
    assert not sources().reaches(("models_admin.dashboard.overview", "overview"), None)
    assert not sources().reaches(("models_admin.api.models", "ModelListView.get"), None)


def test_every_exception_is_a_route() -> None:
    assert set(NOT_CHANGES) <= {pattern.name for pattern in (*api_patterns, *page_patterns)}
