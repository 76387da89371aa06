#!/usr/bin/env bash
# Creates a Python environment if it is not there, and installs packages into it:
#   scripts/environment.sh FOLDER PYTHON PIP-ARGUMENTS...
set -euo pipefail

folder=$1
python=$2
shift 2

if [ ! -x "$folder/bin/python" ]; then
    echo "creating $folder from $("$python" -c 'import platform, sys; print(sys.executable, platform.python_version())')"
    "$python" -m venv "$folder"
fi
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
