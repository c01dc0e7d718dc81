#!/usr/bin/env bash
# Run a command with Chromium and its driver on this machine, for the tests of the dashboard:
#
#   scripts/with_chromium.sh make test
#
# They come from the distribution's packages where the caller is root on Debian. Where they are not to
# be had the command runs all the same and the tests that want a browser are skipped.
set -euo pipefail

say() { printf 'with_chromium: %s\n' "$*" >&2; }

present() { command -v chromium >/dev/null && command -v chromedriver >/dev/null; }

install_browser() {
    local log
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "no Chromium here, and installing it takes root and apt-get"
        return 1
    fi
    say "installing Chromium from the distribution's packages"
    log=$(mktemp "${TMPDIR:-/tmp}/chromium.XXXXXX")
    if { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends chromium chromium-driver; } >"$log" 2>&1; then
        rm -f "$log"
        return
    fi
    tail -3 "$log" >&2
    rm -f "$log"
    say "apt-get could not install chromium and chromium-driver"
    return 1
}

if [ $# -eq 0 ]; then
    say "usage: scripts/with_chromium.sh COMMAND [ARGUMENT...]"
    exit 2
fi
if present || { install_browser && present; }; then
    say "$(chromium --version --no-sandbox 2>/dev/null)"
else
    say "the tests in a browser will be skipped"
fi
exec "$@"
