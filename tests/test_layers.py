"""Which way imports go, and the sizes that files and constructors keep."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import learnedrecon

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(learnedrecon.__file__).parent
PACKAGE = "learnedrecon"
ROOMS = (
    "errors",
    "choices",
    "compiling",
    "allocation",
    "limits",
    "files",
    "generators",
    "whereabouts",
    "specs",
    "recorded",
    "registry",
    ("networks", "kernels", "metrics"),
    "operators",
    "functionals",
    "solvers",
    "problem",
    "data",
    "schemes",
    "models",
    "tasks",
    "weights",
    "training",
    "evaluation",
    "testing",
    "config",
    "experiments",
    "cli",
)
LEVEL = {
    name: level
    for level, rooms in enumerate(ROOMS)
    for name in ([rooms] if isinstance(rooms, str) else rooms)
}
TORCH_ONLY = ("networks", "kernels", "metrics")
# Modules that may import an extra, or what few need, inside a function, and which one.
OPTIONAL = {
    f"{PACKAGE}.training.loggers": {"torch.utils.tensorboard"},
    f"{PACKAGE}.operators.mri.nufft": {"pytorch_finufft.functional"},
    f"{PACKAGE}.operators.imaging.wavelet_filters": {"pywt"},
    f"{PACKAGE}.data.files.dicom": {"pydicom", "pydicom.errors", "pydicom.multival"},
    f"{PACKAGE}.data.files.dicom_series": {"pydicom.dataset", "pydicom.uid"},
    f"{PACKAGE}.data.raw.bad_pixels": {"scipy.ndimage"},
    f"{PACKAGE}.data.raw.stripes": {"scipy.ndimage", "scipy.signal"},
    f"{PACKAGE}.data.photographs": {"skimage.color", "skimage.data", "skimage.io"},
    f"{PACKAGE}.metrics.statistics": {"scipy.special"},
    f"{PACKAGE}.evaluation.canvas": {
        "matplotlib",
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
    },
    # Their kernels import Triton.
    f"{PACKAGE}.kernels.triton2d": {f"{PACKAGE}.kernels.triton_kernels2d"},
    f"{PACKAGE}.kernels.triton3d": {
        f"{PACKAGE}.kernels.triton_kernels3d",
        f"{PACKAGE}.kernels.triton_kernels3d_adjoint",
    },
}
# Wrappers that pass on what the function around which they stand declares.
PASSING_ON = {(f"{PACKAGE}.recorded", "recorded"), (f"{PACKAGE}.compiling", "call")}
TREE = ROOT.parents[1]
FOLDERS = ("src", "tests", "benchmarks", "studies", "examples")
MAX_LINES = 500
MAX_ARGUMENTS = 7
MAX_STEP_LINES = 40
MAX_FORWARD_LINES = 15


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node below ``node`` that exists at run time."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            assert isinstance(child, ast.If)
            for other in child.orelse:
                yield other
                yield from runtime_nodes(other)
            continue
        yield child
        yield from runtime_nodes(child)


def targets(node: ast.AST, module: str) -> Iterator[str]:
    """The modules that an import statement names; ``from a import b`` may mean a or a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module}: relative import; write the full name"
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            yield full if full in MODULES else str(node.module)


def imports(module: str) -> set[str]:
    return {t for node in runtime_nodes(tree(module)) for t in targets(node, module)}


def inner_imports(module: str) -> set[str]:
    return {t for t in imports(module) if t.split(".")[0] == PACKAGE}


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def test_every_room_is_known() -> None:
    assert {room(module) for module in MODULES} - {None} <= set(LEVEL)


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_the_left(module: str) -> None:
    here = room(module)
    if here is None:
        return
    for target in inner_imports(module):
        if target not in MODULES:
            pytest.fail(f"{module} imports {target}, which is not there")
        there = room(target)
        assert there is not None, f"{module} imports the package itself"
        assert there == here or LEVEL[there] < LEVEL[here], f"{module} imports {target}"
        if here in TORCH_ONLY:
            assert there in {here, "errors"}, f"{module} imports {target}"


def named(module: str) -> set[str]:
    """Every module of ours that one imports, for its types alone too."""
    found = {t for node in ast.walk(tree(module)) for t in targets(node, module)}
    return {t for t in found if t.split(".")[0] == PACKAGE} - {module}


def test_the_binding_of_the_kernels_has_one_door() -> None:
    """It asks less than the modules beside it, which check what they pass on."""
    asking = {
        module.removeprefix("learnedrecon.")
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and any(alias.name.endswith("_joseph") for alias in node.names)
    }
    assert asking == {
        f"kernels.{name}" for name in ("joseph", "joseph3d", "moments", "pixels", "voxels")
    }


def test_no_cycle_between_modules() -> None:
    """Not for types alone either; but a derivative is an operator."""
    graph = {module: named(module) for module in MODULES}
    base, linear = f"{PACKAGE}.operators.base", f"{PACKAGE}.operators.linear"
    assert linear in graph[base]
    assert linear not in inner_imports(base)
    graph[base].remove(linear)
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())
    assert set(MODULES) <= done


@pytest.mark.parametrize("module", MODULES)
def test_imports_stand_at_the_top(module: str) -> None:
    if module == PACKAGE or module.startswith(f"{PACKAGE}.cli"):
        return
    late = {
        target
        for node in ast.walk(tree(module))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(node)
        for target in targets(inner, module)
    }
    assert late <= OPTIONAL.get(module, set())


def test_the_list_of_optional_imports_is_not_stale() -> None:
    for module, extras in OPTIONAL.items():
        assert extras <= imports(module)


def classes(module: str) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree(module)) if isinstance(node, ast.ClassDef)]


def base_names(node: ast.ClassDef) -> set[str]:
    bare = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
    return {ast.unparse(base).split(".")[-1] for base in bare}


def step_classes() -> dict[str, tuple[str, ast.ClassDef]]:
    """Every class that derives from Step, however far."""
    everything = {node.name: (module, node) for module in MODULES for node in classes(module)}
    known = {"Step"}
    while more := {n for n, (_, c) in everything.items() if base_names(c) & known} - known:
        known |= more
    return {name: everything[name] for name in known}


def test_step_classes_are_found() -> None:
    assert {"Step", "Chain", "Repeat"} <= set(step_classes())


def code_lines(module: str, node: ast.ClassDef) -> int:
    """Lines of a class that are neither blank nor of a docstring."""
    text = MODULES[module].read_text(encoding="utf-8").splitlines()
    lines = {n for n in range(node.lineno, (node.end_lineno or 0) + 1) if text[n - 1].strip()}
    for inner in ast.walk(node):
        if isinstance(inner, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(inner):
            lines -= set(range(inner.body[0].lineno, (inner.body[0].end_lineno or 0) + 1))
    return len(lines)


def test_steps_of_models_are_short() -> None:
    """A step reads like its equation: at most 40 lines of code, 15 of them in ``forward``."""
    steps = {n: v for n, v in step_classes().items() if room(v[0]) == "models"}
    assert len(steps) > 8
    for name, (module, node) in steps.items():
        assert code_lines(module, node) <= MAX_STEP_LINES, f"{module}.{name}"
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "forward":
                length = (method.end_lineno or 0) - method.lineno + 1
                assert length <= MAX_FORWARD_LINES, f"{module}.{name}.forward"


def test_steps_never_touch_the_operator() -> None:
    for name, (module, node) in step_classes().items():
        touched = {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)}
        assert not touched & {"operator", "measurement"}, f"{module}.{name}"


@pytest.mark.parametrize(
    "module", [m for m in MODULES if room(m) == "schemes" and m.split(".")[-1] != "scaling"]
)
def test_schemes_never_touch_the_operator(module: str) -> None:
    touched = {n.attr for n in ast.walk(tree(module)) if isinstance(n, ast.Attribute)}
    assert not touched & {"operator", "measurement"}


def test_files_are_short() -> None:
    """In every folder that people write, the tests' own among them."""
    files = [path for folder in FOLDERS for path in (TREE / folder).rglob("*.py*")]
    lines = {
        str(path.relative_to(TREE)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files
        if path.suffix in {".py", ".pyi"}
    }
    assert len(lines) > len(MODULES)
    assert {name: number for name, number in lines.items() if number > MAX_LINES} == {}


def arguments(function: ast.FunctionDef) -> list[ast.arg]:
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs]


@pytest.mark.parametrize("module", MODULES)
def test_constructors_take_few_arguments(module: str) -> None:
    for node in classes(module):
        methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
        for method in methods:
            if method.name in {"__init__", "__new__"}:
                assert len(arguments(method)) - 1 <= MAX_ARGUMENTS, f"{module}.{node.name}"


@pytest.mark.parametrize("module", MODULES)
def test_no_sinks_and_no_mutable_defaults(module: str) -> None:
    mutable = (ast.List, ast.Dict, ast.Set, ast.Call)
    for node in ast.walk(tree(module)):
        if not isinstance(node, ast.FunctionDef):
            continue
        sink = node.args.kwarg
        if (module, node.name) in PASSING_ON:
            continue
        assert sink is None, f"{module}.{node.name}(**{sink.arg})"
        if module.startswith(f"{PACKAGE}.cli"):
            continue
        for default in (*node.args.defaults, *node.args.kw_defaults):
            assert not isinstance(default, mutable), f"{module}.{node.name}"


@pytest.mark.parametrize("module", MODULES)
def test_the_library_does_not_print(module: str) -> None:
    for node in ast.walk(tree(module)):
        called = node.func if isinstance(node, ast.Call) else None
        assert not (isinstance(called, ast.Name) and called.id == "print"), module


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nsys.stdout.write(' '.join(sys.modules))"
    command = [sys.executable, "-I", "-W", "error", "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


@pytest.mark.parametrize("module", [PACKAGE, f"{PACKAGE}.cli.main"])
def test_light_modules_do_not_import_torch(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert module in loaded
    assert not loaded & {"torch", "numpy", "matplotlib", "h5py", "skimage", "pydantic"}


def test_the_probe_sees_torch() -> None:
    assert "torch" in loaded_by(f"import {PACKAGE}.operators.space")
