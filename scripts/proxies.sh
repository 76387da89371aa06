#!/usr/bin/env bash
# The proxies that tests/edge puts before the server, the browser of tests/browser, Prometheus' promtool, and the PostgreSQL of tests/store. In CI they are
# installed; on somebody's own machine, where their packages would start services, it only says what is missing. Tests without their
# proxy or browser are skipped; those without PostgreSQL fail.
set -euo pipefail

missing=()
for program in nginx:nginx-light caddy:caddy haproxy:haproxy curl:curl openssl:openssl chromium:chromium chromedriver:chromium-driver promtool:prometheus; do
    command -v "${program%%:*}" >/dev/null || PATH=$PATH:/usr/sbin command -v "${program%%:*}" >/dev/null ||
        missing+=("${program##*:}")
done
# Its programs are in nobody's PATH.
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null || missing+=(postgresql)
[ ${#missing[@]} -gt 0 ] || exit 0

if [ -n "${CI:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install --yes --no-install-recommends -qq "${missing[@]}"
else
    echo "note: ${missing[*]} missing: the tests that need them are skipped or fail (with CI=true and as root they are installed)" >&2
fi
