"""Which settings a job can come to use, read from the source: through every function, class and constant it refers to.

What is referred to counts as used, whether it is called or not. Methods count with their class, and a property of
Settings for the settings it reads.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from jobs.platform.settings import COMMON, Settings

ROOT = Path(__file__).resolve().parents[3]

#: Methods of Job that look at a setting themselves.
BY_METHOD = {"publish": {"accept_drift"}, "publish_staged": {"accept_drift"}}

Node = tuple[str, str]  # dotted module, name defined in it


class Module:
    """A module's top-level definitions, and what its names stand for where they are imported from elsewhere in jobs."""

    def __init__(self, name: str) -> None:
        path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        tree = ast.parse(path.read_text()) if path.exists() else ast.Module([], [])
        self.defined: dict[str, ast.AST] = {}
        self.imported: dict[str, Node] = {}
        for node in tree.body:
            for target in _names(node):
                self.defined[target] = node
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("jobs"):
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = (node.module, alias.name)


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


@cache
def module(name: str) -> Module:
    return Module(name)


def references(node: Node) -> set[Node]:
    """Top-level definitions of jobs that this one refers to."""
    here = module(node[0])
    found = set[Node]()
    for part in ast.walk(here.defined[node[1]]):
        if isinstance(part, ast.Name):
            if part.id in here.defined:
                found.add((node[0], part.id))
            elif part.id in here.imported:
                found.add(here.imported[part.id])
        elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id in here.imported:
            found.add((".".join(here.imported[part.value.id]), part.attr))
    return {other for other in found if other[1] in module(other[0]).defined}


@cache
def properties() -> dict[str, set[str]]:
    """Name of a property of Settings -> the settings that it reads, through other properties too."""
    body = module("jobs.platform.settings").defined["Settings"]
    assert isinstance(body, ast.ClassDef)
    own = [part for part in body.body if isinstance(part, ast.FunctionDef) and part.decorator_list]
    reads = {f.name: {part.attr for part in ast.walk(f) if isinstance(part, ast.Attribute)} for f in own}
    for names in reads.values():
        while more := set().union(*(reads[name] for name in names & reads.keys())) - names:
            names |= more
    return reads


def uses(node: Node) -> set[str]:
    """The settings that a definition itself reads, of anything called settings."""
    found = set[str]()
    for part in ast.walk(module(node[0]).defined[node[1]]):
        if isinstance(part, ast.Attribute):
            owner = part.value
            called = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            if called in ("settings", "then"):
                found |= {part.attr} | properties().get(part.attr, set())
            found |= BY_METHOD.get(part.attr, set())
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "getattr":
            owners = ast.unparse(part.args[0])
            if owners.endswith("settings"):
                strings = ast.walk(module(node[0]).defined[node[1]])
                found |= {s.value for s in strings if isinstance(s, ast.Constant) and isinstance(s.value, str)}
    return found & Settings.model_fields.keys()


def settings_of(job: str, start: str = "main") -> set[str]:
    """All that the job ("ingest.articles"), or another function of its module, can come to use beside COMMON."""
    todo, seen, found = [(f"jobs.{job}", start)], set[Node](), set[str]()
    while todo:
        node = todo.pop()
        if node in seen or node[0] in ("jobs.platform.job", "jobs.platform.settings"):
            continue
        seen.add(node)
        found |= uses(node)
        todo += references(node)
    return found - set(COMMON)
