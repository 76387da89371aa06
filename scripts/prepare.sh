#!/usr/bin/env bash
# Makes sure of what neither cargo nor pip can bring: a linker, and a Python that can create
# environments and be linked into a program. It finds out by trying. Debian packages that are
# missing are installed when this runs as root; otherwise it says the line to type.
#   scripts/prepare.sh PYTHON
set -euo pipefail

python=${1:-python3}

problems=() # what is wrong, for the reader
packages=() # the Debian packages that would put it right

stop() {
    printf '%s\n' "$@" >&2
    exit 1
}

try_linker() {
    local program
    program=$(mktemp)
    if ! printf 'int main(void) { return 0; }\n' | cc -x c -o "$program" - 2>/dev/null; then
        problems+=("cc cannot build a program: a C compiler with the C library's headers is missing")
        packages+=(gcc libc6-dev)
    fi
    rm -f "$program"
}

try_python() {
    if ! "$python" -c '' 2>/dev/null; then
        problems+=("'$python' does not start")
        case $python in
            python3 | /usr/bin/python3) packages+=(python3 python3-venv python3-dev) ;;
        esac
        return
    fi
    local version prefix recent environments library
    {
        read -r version
        read -r prefix
        read -r recent
        read -r environments
        read -r library
    } < <("$python" - <<'PROBE'
import importlib, os, sys, sysconfig

def imports(*names):
    try:
        for name in names:
            importlib.import_module(name)
    except ImportError:
        return "no"
    return "yes"

library = os.path.join(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("LDLIBRARY") or "")
shared = sysconfig.get_config_var("Py_ENABLE_SHARED") and os.path.isfile(library)
print("{}.{}".format(*sys.version_info))
print(getattr(sys, "base_prefix", sys.prefix))
print("yes" if sys.version_info >= (3, 10) else "no")
print(imports("ensurepip", "venv"))
print("yes" if shared else "no")
PROBE
    )
    local from_debian=no
    if [ "$prefix" = /usr ]; then from_debian=yes; fi

    if [ "$recent" = no ]; then
        stop "'$python' is Python $version; this needs 3.10 or newer. Name another one: PYTHON=/path/to/python3 make ..."
    fi
    if [ "$environments" = no ]; then
        problems+=("'$python' cannot create environments: its modules venv and ensurepip are missing")
        if [ $from_debian = yes ]; then packages+=("python$version-venv"); fi
    fi
    if [ "$library" = no ]; then
        if [ $from_debian = yes ]; then
            problems+=("the library of '$python' (libpython$version.so) is missing")
            packages+=("python$version-dev")
        else
            problems+=("'$python' ($prefix) was built without its shared library, which the server links. Build it again with
  --enable-shared (pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install $version),
  or name another one: PYTHON=/usr/bin/python3 make ...")
        fi
    fi
}

look() {
    problems=()
    packages=()
    try_linker
    try_python
}

if ! cargo --version >/dev/null 2>&1; then
    stop "cargo is missing. Install Rust as https://rustup.rs says, then run this again."
fi

# Once .venv is there, its Python is the one that counts.
if [ -e .venv/bin/python ] || [ -L .venv/bin/python ]; then
    if ! .venv/bin/python -c '' 2>/dev/null; then
        stop "The Python that .venv was created from is gone. Type: rm -r .venv .venv-tabpy .venv-tableau"
    fi
    python=.venv/bin/python
fi

look
if [ ${#packages[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install --yes --no-install-recommends -qq "${packages[@]}" || true
    look
fi
if [ ${#problems[@]} -gt 0 ]; then
    printf '%s.\n' "${problems[@]}" >&2
    if [ ${#packages[@]} -gt 0 ]; then
        printf 'On Debian and Ubuntu, type: sudo apt-get install --yes %s\n' "${packages[*]}" >&2
    fi
    exit 1
fi
