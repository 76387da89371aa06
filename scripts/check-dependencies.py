"""Checks the licences, bans and sources of all crates in Cargo.lock against deny.toml.

It stands in for `cargo deny check bans licenses sources` where cargo-deny is not installed, reads
the parts of deny.toml that are written there, and needs no network once the crates are downloaded.
A part of deny.toml that it does not know stops it, so that no rule is skipped in silence.
"""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

KNOWN = {
    "graph": {"targets"},
    "licenses": {"allow", "include-dev"},
    "bans": {"multiple-versions", "deny"},
    "sources": {"unknown-registry", "unknown-git", "allow-registry"},
}


class LicenceError(ValueError):
    """A licence expression that cannot be read."""


def licence_is_allowed(expression, allowed):
    """Whether an SPDX expression can be met with the allowed licences.

    AND binds more tightly than OR, WITH belongs to the one licence before it. A slash is an old
    way to write OR.
    """
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        token = peek()
        position += 1
        if token is None:
            raise LicenceError(f"licence expression ends too early: {expression!r}")
        return token

    def any_of():
        met = all_of()
        while peek() == "OR":
            take()
            # Both sides are read, also when the first one is enough.
            met = all_of() or met
        return met

    def all_of():
        met = one()
        while peek() == "AND":
            take()
            met = one() and met
        return met

    def one():
        token = take()
        if token == "(":
            met = any_of()
            if take() != ")":
                raise LicenceError(f"a bracket is not closed: {expression!r}")
            return met
        if token in {")", "AND", "OR", "WITH"}:
            raise LicenceError(f"a licence is missing before {token!r}: {expression!r}")
        if peek() == "WITH":
            take()
            token = f"{token} WITH {take()}"
        return token in allowed

    met = any_of()
    if peek() is not None:
        raise LicenceError(f"unexpected {peek()!r} in {expression!r}")
    return met


def unknown_rules(rules):
    """The parts of deny.toml that this check would not enforce."""
    for section, entries in rules.items():
        for entry in entries:
            if entry not in KNOWN.get(section, ()):
                yield f"deny.toml: [{section}] {entry} is only understood by cargo-deny"
    for ban in rules.get("bans", {}).get("deny", []):
        if set(ban) - {"crate", "reason"} or set(ban.get("crate", "@")) & set("@:="):
            yield f"deny.toml: the ban {ban} is only understood by cargo-deny: write {{ crate = \"name\" }}"


def problems(metadata, rules):
    """One line for each package that breaks a rule."""
    allowed = set(rules["licenses"]["allow"])
    banned = {ban["crate"] for ban in rules["bans"]["deny"]}
    sources = {f"registry+{registry}" for registry in rules["sources"]["allow-registry"]}
    members = set(metadata["workspace_members"])
    for package in metadata["packages"]:
        name = f"{package['name']} {package['version']}"
        if package["name"] in banned:
            yield f"{name}: banned"
        if package["source"] not in sources and package["id"] not in members:
            yield f"{name}: comes from {package['source'] or 'a folder'}, not from an allowed registry"
        licence = package["license"]
        if not licence:
            yield f"{name}: names no licence"
            continue
        try:
            if not licence_is_allowed(licence, allowed):
                yield f"{name}: licence {licence!r} is not allowed"
        except LicenceError as error:
            yield f"{name}: {error}"


def duplicates(metadata):
    """One line for each crate that is there more than once."""
    versions = defaultdict(set)
    for package in metadata["packages"]:
        versions[package["name"]].add(package["version"])
    for name in sorted(versions):
        if len(versions[name]) > 1:
            yield f"{name}: {', '.join(sorted(versions[name]))}"


def read_rules():
    try:
        import tomllib
    except ImportError:
        try:
            import tomli as tomllib
        except ImportError:
            sys.exit("Python 3.10 cannot read deny.toml by itself. Type: .venv/bin/pip install tomli")
    with open(ROOT / "deny.toml", "rb") as file:
        return tomllib.load(file)


def read_metadata(targets):
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    for target in targets:
        command += ["--filter-platform", target]
    answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if answer.returncode != 0:
        sys.exit("cargo metadata failed, so the dependencies were not checked")
    return json.loads(answer.stdout)


def main():
    rules = read_rules()
    metadata = read_metadata(rules["graph"]["targets"])
    for line in duplicates(metadata):
        print(f"note: more than one version of {line}")
    found = [*unknown_rules(rules), *problems(metadata, rules)]
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if found:
        sys.exit(1)
    print(f"{len(metadata['packages'])} packages: licences, bans and sources are in order")


if __name__ == "__main__":
    main()
