#!/usr/bin/env bash
# Run a command with DESIGN_LOOP_TEST_POSTGRES naming an empty PostgreSQL of its own:
#
#   scripts/with_postgres.sh make test
#
# The server listens on loopback only, on a free port, with a temporary data directory; it is stopped
# and removed when the command ends. PostgreSQL comes from this machine or, for root on Debian or
# Ubuntu, from the distribution's packages. Where there is none the command runs all the same and the
# tests that want PostgreSQL are skipped. A server that the caller's variable names is used as it is.
set -euo pipefail

readonly DISTRIBUTED=/usr/lib/postgresql
folder=
bin=

say() { printf 'with_postgres: %s\n' "$*" >&2; }

usage() {
    say "usage: scripts/with_postgres.sh COMMAND [ARGUMENT...]"
    exit 2
}

# Folder of the newest server's programs; Debian keeps them off the PATH.
find_server() {
    local found
    found=$(find "$DISTRIBUTED" -path '*/bin/initdb' 2>/dev/null | sort -V | tail -1)
    [ -n "$found" ] || found=$(command -v initdb || true)
    [ -n "$found" ] || return 1
    bin=$(dirname "$(readlink -f "$found")")
    [ -x "$bin/pg_ctl" ]
}

install_server() {
    local settings=/etc/postgresql-common/createcluster.conf
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "no PostgreSQL here, and installing it takes root and apt-get"
        return 1
    fi
    say "installing PostgreSQL from the distribution's packages"
    # The package of the server creates a cluster on port 5432 and starts it, unless told not to
    # before it comes; its settings file belongs to a package of its own.
    packages postgresql-common || return 1
    cp -p "$settings" "$settings.kept"
    printf 'create_main_cluster = false\n' >>"$settings"
    packages postgresql || { mv "$settings.kept" "$settings" && return 1; }
    mv "$settings.kept" "$settings"
}

packages() {
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "$@"; } >"$folder/apt.log" 2>&1 && return
    tail -3 "$folder/apt.log" >&2
    say "apt-get could not install $*"
    return 1
}

# PostgreSQL refuses to run as root.
as_owner() {
    if [ "$(id -u)" -eq 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start_server() {
    local password port
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && printf '%s\n' "$password" >"$folder/password")
    [ "$(id -u)" -ne 0 ] || chown -R postgres "$folder"
    (cd "$folder" && as_owner "$bin/initdb" -D "$folder/data" -U tests -E UTF8 --locale=C \
        --auth=scram-sha-256 --pwfile="$folder/password") >"$folder/initdb.log" 2>&1 ||
        { tail -3 "$folder/initdb.log" >&2 && return 1; }
    # The port is free now and may not be in a moment; nothing has to survive a power cut.
    for _ in 1 2 3; do
        port=$(free_port)
        if (cd "$folder" && as_owner "$bin/pg_ctl" -D "$folder/data" -l "$folder/server.log" -w \
            -o "-h 127.0.0.1 -p $port -k '' -c fsync=off" start) >/dev/null 2>&1; then
            export DESIGN_LOOP_TEST_POSTGRES="postgresql://tests:$password@127.0.0.1:$port/postgres"
            say "$("$bin/postgres" --version) on 127.0.0.1:$port"
            return
        fi
    done
    tail -3 "$folder/server.log" >&2
    return 1
}

clean() {
    if [ -e "$folder/data/postmaster.pid" ]; then
        (cd "$folder" && as_owner "$bin/pg_ctl" -D "$folder/data" -m immediate stop) >/dev/null 2>&1 ||
            say "the server did not stop: process $(head -1 "$folder/data/postmaster.pid")"
    fi
    rm -rf "$folder"
}

[ $# -gt 0 ] || usage
if [ -n "${DESIGN_LOOP_TEST_POSTGRES:-}" ]; then
    exec "$@"
fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/postgres.XXXXXX")
trap clean EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
if ! find_server && ! { install_server && find_server; }; then
    say "the tests on PostgreSQL will be skipped"
elif ! start_server; then
    say "PostgreSQL did not start; the tests on it will be skipped"
fi
"$@"
