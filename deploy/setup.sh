#!/bin/sh
# Finds a Python >= 3.11 and lets it run deploy/setup.py. Usage: deploy/setup.sh run [FLAG...] | test | bench
# PYTHON=... names the interpreter; otherwise an environment that exists is used, then what PATH offers.
set -u
cd "$(dirname "$0")/.." || exit 1

is_new_enough() {
    "$1" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

choose() {
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" && echo "$PYTHON"
        return
    fi
    for candidate in .venv/bin/python python3 python python3.14 python3.13 python3.12 python3.11; do
        if is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
}

chosen=$(choose)
if [ -z "$chosen" ]; then
    found="none is on PATH"
    [ -z "${PYTHON:-}" ] || found="PYTHON=$PYTHON is not one"
    echo "setup: Python 3.11 or newer is needed, but $found; install one or name it: PYTHON=/path/to/python3" >&2
    exit 2
fi
exec "$chosen" -E -S -m deploy.setup "$@"
