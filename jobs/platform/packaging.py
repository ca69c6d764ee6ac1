"""What a module takes along to be imported elsewhere: the project's own files, and pinned distributions of the rest.

Imports are followed as they stand at the top of each module. Those inside of functions are not: whoever calls such a
function needs more than a caller who does not.
"""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path

from jobs.platform.code import ROOT

#: The project's packages that a model may need.
PACKAGES = ("jobs", "lightning_modules", "expectations")


@dataclass(frozen=True)
class Imports:
    """What some modules need to be imported.

    Attributes:
        files: of the project, relative to its folder, in order.
        requirements: of other projects, as `name==version` of what is installed here, in order.
    """

    files: tuple[Path, ...]
    requirements: tuple[str, ...]

    def copy_files(self, folder: Path) -> list[Path]:
        """Copy the files into `folder`, as they lie in the project; returns the packages there."""
        for file in self.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, folder / file)
        return sorted({folder / file.parts[0] for file in self.files})


def imports_of(modules: Sequence[str]) -> Imports:
    """What these modules of the project need to be imported, with all that they import in turn."""
    files: set[Path] = set()
    others: set[str] = set()
    waiting = list(modules)
    for name in modules:
        assert _file_of(name), f"{name} is no module of {', '.join(PACKAGES)}"
    while waiting:
        name = waiting.pop()
        if name.partition(".")[0] not in PACKAGES:
            others.add(name.partition(".")[0])
        elif (file := _file_of(name)) and file not in files:
            files.add(file)
            waiting += _imported(ast.parse((ROOT / file).read_text()).body)
            waiting += [name.rpartition(".")[0]] if "." in name else []
    others -= sys.stdlib_module_names
    return Imports(tuple(sorted(files)), tuple(sorted(_pinned(others))))


def _file_of(module: str) -> Path | None:
    """The file of a module of the project, relative to its folder; None where it is a name within one."""
    if module.partition(".")[0] not in PACKAGES:
        return None
    path = Path(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if (ROOT / file).is_file()), None)


def _imported(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Names that these statements import when they run; `from a import b` may mean the module a.b, too."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "imports here are absolute"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _imported(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            yield from _imported(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))


def _pinned(packages: Iterable[str]) -> Iterator[str]:
    """The installed distributions of these import names, with their versions."""
    offered = packages_distributions()
    for package in packages:
        names = sorted(set(offered[package]))
        name = next((name for name in names if name.replace("-", "_") == package), names[0])
        yield f"{name}=={version(name)}"
