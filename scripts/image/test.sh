#!/usr/bin/env bash
# Runs the image that build.sh has made, and talks to it: see test.py.
set -euo pipefail
cd "$(dirname "$0")"

if ! command -v runc >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install --yes --no-install-recommends -qq runc
fi
exec python3 test.py "$@"
