"""Help, version, wrong usage, and the page made from the commands."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: The command line as it was promised to stay; every command with options that must exist.
STABLE = {
    "campaign run": ["--workdir", "--store"],
    "campaign resume": [],
    "campaign list": ["--format"],
    "campaign show": ["--format"],
    "campaign export": ["--format", "--out"],
    "campaign report": ["--out"],
    "data check": ["--format"],
    "data label": ["--out"],
    "data describe": ["--format"],
    "base train": [],
    "adapter train": ["--data", "--base", "--property", "--format", "--out"],
    "surrogate train": ["--data", "--property", "--out"],
    "surrogate predict": ["--model", "--structures", "--out"],
    "surrogate compare": ["--data", "--property", "--kind", "--out", "--format"],
    "surrogate tune": ["--data", "--property", "--kind", "--trials", "--out", "--format"],
    "surrogate formulas": ["--out"],
    "generate": ["--base", "--adapter", "--host", "--supercell", "--target", "--num", "--out"],
    "serve": ["--config"],
    "keys create": ["--scope", "--file", "--per-minute"],
    "keys list": ["--file", "--format"],
    "keys revoke": ["--file"],
}


def _options():
    import typer.main

    from design_loop.cli import app

    group = typer.main.get_command(app)
    found = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", {"": command})
        for verb, leaf in inner.items():
            found[f"{name} {verb}".strip()] = {o for p in leaf.params for o in p.opts}
    return found


def test_the_promised_commands_are_there():
    found = _options()
    assert set(STABLE) <= set(found)
    missing = {name: set(want) - found[name] for name, want in STABLE.items()}
    assert not {name: options for name, options in missing.items() if options}


@pytest.mark.parametrize("name", ["", *STABLE])
def test_every_command_has_help(cli, name):
    done = cli(*name.split(), "--help")
    assert done.code == 0
    assert "--help" in done.out
    assert "[]" not in done.out.replace("[OPTIONS]", "")


def test_every_other_command_has_help_too(cli):
    others = sorted(set(_options()) - set(STABLE))
    assert others
    for name in others:
        done = cli(*name.split(), "--help")
        assert done.code == 0 and "--help" in done.out, name


def test_version(cli):
    from importlib.metadata import version

    assert cli("--version").out.strip() == version("design-loop")


@pytest.mark.parametrize(
    "words", [["nothing"], ["campaign", "nothing"], ["campaign", "show"], ["data", "check", "--x"]]
)
def test_wrong_usage_is_2_and_says_so(cli, words):
    done = cli(*words)
    assert done.code == 2
    assert "Error" in done.err
    assert "Traceback" not in done.err


def test_output_into_a_closed_pipe_is_quiet(root):
    """``design-loop ... | head -1`` ends without a trace."""
    words = [sys.executable, "-m", "design_loop.cli", "campaign", "--help"]
    process = subprocess.Popen(
        words, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert process.wait(60) != 0


@pytest.mark.parametrize("script", ["write_cli_docs.py", "write_config_docs.py"])
def test_pages_made_from_the_code_are_current(root, script):
    """docs/cli.md and docs/campaign-file.md; `make docs` writes them."""
    done = subprocess.run(
        [sys.executable, root / "scripts" / script, "--check"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
