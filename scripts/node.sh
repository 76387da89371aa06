#!/usr/bin/env bash
# Installs npm packages into a folder; Node.js itself from Debian where it is missing and this runs as root.
#   scripts/node.sh FOLDER PACKAGES...
set -euo pipefail

folder=$1
shift

if ! npm --version >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "npm is missing; the tests of the API's description need it: sudo apt-get install nodejs npm" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm
fi
# Node.js brings its own list of authorities; a company's stands in the system's.
system=/etc/ssl/certs/ca-certificates.crt
if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -f "$system" ]; then
    export NODE_EXTRA_CA_CERTS=$system
fi
mkdir -p "$folder"
npm install --prefix "$folder" --no-save --no-audit --no-fund --loglevel=error \
    --fetch-retries=2 --fetch-timeout=60000 "$@"
