"""The direction of dependencies, and that light modules stay light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

#: Package -> packages of this project that it must not import.
FORBIDDEN = {
    "defects": {"training", "serve", "design_loop"},
    "training": {"serve", "design_loop"},
    "serve": {"training", "design_loop"},
}
HEAVY = {"torch", "vllm", "ray", "catboost", "transformers", "peft", "tblite"}
#: Networks, which are classes of torch; the modules that use them import them when they are used.
NETWORKS = {"defects.surrogates.graph_network"}
SLOW = {
    "alembic", "ase", "httpx", "numpy", "pandas", "pydantic", "pymatgen", "rich", "sqlalchemy",
    "yaml",
}  # fmt: skip


def _modules(root, package):
    for path in sorted((root / package).rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def _imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


@pytest.mark.parametrize("package", FORBIDDEN)
def test_dependencies_point_one_way(root, package):
    """Also inside functions and type-checking blocks."""
    wrong = [
        f"{name} imports {imported}"
        for name, path in _modules(root, package)
        for imported in _imported(path)
        if imported.partition(".")[0] in FORBIDDEN[package]
    ]
    assert not wrong
    assert len(list(_modules(root, package))) > 3


#: What runs code that it reads: none of it is used, on the path of a request or elsewhere.
PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE = {"eval", "exec", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "torch.load"}


def _unsafe(path):
    """Imports and calls of a module that could run what they read."""
    yield from (name for name in _imported(path) if name.partition(".")[0] in PICKLES)
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        called = ast.unparse(node.func)
        plain = called == "torch.load" and given.get("weights_only") == "True"
        if called in UNSAFE and not plain:
            yield called
        if given.get("allow_pickle", "False") != "False":
            yield f"{called}(allow_pickle=...)"


@pytest.mark.parametrize("package", ["defects", "training", "serve", "design_loop"])
def test_nothing_that_is_read_is_run(root, package):
    assert not [(name, u) for name, path in _modules(root, package) for u in _unsafe(path)]


def test_what_would_be_run_is_noticed(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text(
        "import pickle\nfrom joblib import load\ntorch.load(x)\nnp.load(x, allow_pickle=True)\n"
        "eval(x)\ntorch.load(x, weights_only=True)\nnp.load(x)\nmodel.eval()\n"
    )
    found = sorted(_unsafe(file))
    assert found == ["eval", "joblib", "np.load(allow_pickle=...)", "pickle", "torch.load"]


def _loaded(modules, root):
    """Top-level names in sys.modules after importing these modules in a fresh process."""
    code = (
        "import importlib, json, sys\n"
        f"for name in {list(modules)!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", ["defects", "design_loop"])
def test_light_modules_import_without_the_heavy_packages(root, package):
    light = [name for name, _ in _modules(root, package) if name not in NETWORKS]
    assert len(light) > 20
    assert not _loaded(light, root) & HEAVY


def test_serve_configuration_is_light(root):
    assert not _loaded(["serve.config", "serve.schemas", "serve.names"], root) & HEAVY


def test_command_line_starts_without_anything_slow(root):
    """What makes `--help` answer at once."""
    assert not _loaded(["design_loop.cli"], root) & (HEAVY | SLOW)
