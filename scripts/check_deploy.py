"""Checks the files by which others start this server: each is what its reader takes, and names no setting
that the server does not read. Run by `make check`, in .venv-tools."""

import json
import pathlib
import re
import subprocess
import sys

import tomli
import yaml

ROOT = pathlib.Path(__file__).parent.parent
TOOLS = pathlib.Path(sys.executable).parent

SETTINGS = set(re.findall(r'(?:setting|not_yet|refused)\(\s*"([A-Z_]+)"', (ROOT / "src/config/settings.rs").read_text()))

# Read by the platform, by PostgreSQL's image, or by a library within the image; not by the server.
FOREIGN = {"BALANCER_PORT", "DEBIAN_FRONTEND", "EXTRA_PIP", "MALLOC_ARENA_MAX", "PATH", "POSTGRES_DB", "POSTGRES_PASSWORD",
           "POSTGRES_USER", "PYO3_PYTHON", "PYTHON_VERSION"}

PLACES = ["Dockerfile", "app.json", "heroku.yml", "Procfile", "render.yaml", "fly.toml", "railway.json", "compose.yaml",
          "deploy/kubernetes.yaml"]


def main():
    problems = []
    for command in (
        [TOOLS / "hadolint", "Dockerfile"],
        [TOOLS / "check-jsonschema", "--schemafile", "deploy/schemas/app.schema.json", "app.json"],
        [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
    ):
        outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if outcome.returncode:
            problems.append(f"{command[0].name}: {outcome.stdout}{outcome.stderr}")
    problems += foreign_settings() + app_json() + others()
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"deploy files: {len(PLACES)} read, {len(problems)} problems")
    return bool(problems)


def foreign_settings():
    problems = []
    for place in PLACES:
        text = re.sub(r"^\s*#.*$", "", (ROOT / place).read_text(), flags=re.MULTILINE)
        for name in sorted(set(re.findall(r"\b(TABPY_[A-Z_]+|DATABASE_URL|PORT|[A-Z]+_[A-Z_]+)\b", text))):
            if name not in SETTINGS | FOREIGN | {"VIRTUAL_ENV", "ON_FAILURE"}:
                problems.append(f"{place}: the server reads no {name}")
    return problems


def app_json():
    app = json.loads((ROOT / "app.json").read_text())
    password = app["env"]["TABPY_PASSWORD"]
    problems = []
    if app["stack"] != "container" or app["success_url"] != "/" or "addons" in app:
        problems.append("app.json: a container, opened at /, without paid add-ons")
    if password.get("generator") != "secret" or "value" in password:
        problems.append("app.json: the password is made up, never the same for all")
    return problems


def others():
    problems = []
    heroku = yaml.safe_load((ROOT / "heroku.yml").read_text())
    if heroku != {"build": {"docker": {"web": "Dockerfile"}}}:
        problems.append("heroku.yml: more than which Dockerfile is the web process")
    render = yaml.safe_load((ROOT / "render.yaml").read_text())["services"][0]
    if render["runtime"] != "docker" or not any(variable.get("generateValue") for variable in render["envVars"]):
        problems.append("render.yaml: a docker service with a password that is made up")
    fly = tomli.loads((ROOT / "fly.toml").read_text())
    if str(fly["http_service"]["internal_port"]) != fly["env"]["PORT"] or fly["kill_signal"] != "SIGTERM":
        problems.append("fly.toml: PORT is the internal port, and the end begins with SIGTERM")
    railway = json.loads((ROOT / "railway.json").read_text())
    if railway["build"]["builder"] != "DOCKERFILE":
        problems.append("railway.json: built by the Dockerfile")
    deployment, service = yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    if pod["terminationGracePeriodSeconds"] < 35 or not pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]:
        problems.append("deploy/kubernetes.yaml: 35 s to end, and a read-only root")
    if service["spec"]["selector"] != deployment["spec"]["selector"]["matchLabels"]:
        problems.append("deploy/kubernetes.yaml: the service finds no pod")
    return problems


if __name__ == "__main__":
    sys.exit(main())
