#!/usr/bin/env bash
# Builds the image `tabpy-rs`: with docker where an engine runs, else with Debian's buildah on a base
# that debootstrap makes, since neither engine nor registry is there. Dockerfile and result are the same.
#   scripts/image/build.sh [EXTRA_PIP]
set -euo pipefail
cd "$(dirname "$0")/../.."

extra=${1:-}
suite=trixie
debian=docker.io/library/debian:trixie-slim
rust=docker.io/library/rust:1-slim-trixie
cache=${IMAGE_CACHE:-target/image}

if docker info >/dev/null 2>&1; then
    exec docker build --tag tabpy-rs --build-arg "EXTRA_PIP=$extra" .
fi

skip() {
    echo "SKIPPED: the image cannot be built here: $1" >&2
    exit 77
}

[ "$(id -u)" = 0 ] || skip "there is no docker engine, and buildah's chroot isolation needs root"
missing=()
for program in buildah debootstrap; do
    command -v "$program" >/dev/null || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || skip "${missing[*]} missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install --yes --no-install-recommends -qq "${missing[@]}" || skip "${missing[*]} missing"
fi

has() { buildah inspect --type image "$1" >/dev/null 2>&1; }

# A base as Debian's own: the same packages from the same suite.
if ! has "$debian"; then
    mkdir -p "$cache"
    base=$cache/base
    rm -rf "$base"
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$base" >"$cache/debootstrap.log" 2>&1 ||
        { tail -5 "$cache/debootstrap.log" >&2; skip "debootstrap failed"; }
    # Whoever stands between this machine and the registries is trusted in the build as well.
    awk -v to="$base/usr/local/share/ca-certificates/machine-" \
        '/BEGIN CERTIFICATE/ { file = sprintf("%s%03d.crt", to, ++n) } file { print > file } /END CERTIFICATE/ { file = "" }' \
        "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"
    chroot "$base" update-ca-certificates >/dev/null 2>&1
    rm -rf "$base"/var/cache/apt/archives/*.deb "$base"/var/lib/apt/lists/* "$base"/usr/share/doc/* \
        "$base"/usr/share/man/* "$base"/usr/share/locale/*
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$base" / >/dev/null
    buildah config --cmd bash "$container"
    buildah commit --quiet --format docker "$container" "$debian" >/dev/null
    buildah rm "$container" >/dev/null
    rm -rf "$base"
fi

# In place of Rust's image: the same base with the toolchain at hand.
if ! has "$rust"; then
    toolchain=$(rustc --print sysroot)
    container=$(buildah from --pull-never "$debian")
    for part in bin lib; do
        buildah add --quiet "$container" "$toolchain/$part" "/usr/local/$part" >/dev/null
    done
    buildah config --env CARGO_HOME=/usr/local/cargo "$container"
    buildah commit --quiet --format docker "$container" "$rust" >/dev/null
    buildah rm "$container" >/dev/null
fi

started=$SECONDS
buildah build --isolation chroot --pull-never --format docker --layers --tag tabpy-rs \
    --build-arg "EXTRA_PIP=$extra" .
echo "built tabpy-rs in $((SECONDS - started)) s"
