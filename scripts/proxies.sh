#!/usr/bin/env bash
# The proxies that tests/edge puts before the server, and the browser of tests/browser. In CI they are installed; on somebody's own machine, where
# their packages would start services, it only says what is missing, and those tests are skipped.
set -euo pipefail

missing=()
for program in nginx:nginx-light caddy:caddy haproxy:haproxy curl:curl openssl:openssl chromium:chromium chromedriver:chromium-driver; do
    command -v "${program%%:*}" >/dev/null || PATH=$PATH:/usr/sbin command -v "${program%%:*}" >/dev/null ||
        missing+=("${program##*:}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ -n "${CI:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install --yes --no-install-recommends -qq "${missing[@]}"
else
    echo "note: ${missing[*]} missing: the tests with that in front are skipped (with CI=true they fail)" >&2
fi
