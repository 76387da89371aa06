"""Runs the image as platforms do, and talks to it: `make test-image`.

The image's own entrypoint, command, environment and user are used, by runc on the image's files, since no
docker engine is at hand: another uid with group 0, a read-only root, a tmpfs /tmp, a process namespace of its own,
and a memory limit where the machine lets one be set. Prints what it measures."""

import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

IMAGE = "tabpy-rs"
# This program sees to memory limits itself, since not every mixture of control groups is known to runc.
RUNC = ["runc"]
USER, PASSWORD = "tableau", "made-up-for-this-test"
SCIKIT = """
from sklearn.linear_model import LinearRegression
import pandas as pd
x = pd.DataFrame({'x': _arg1})
return LinearRegression().fit(x, _arg2).predict(x).round(6).tolist()
"""


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout.strip()


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


class Files:
    """The image's files, mounted once, and its configuration."""

    def __init__(self):
        self.container = run("buildah", "from", "--pull-never", IMAGE)
        self.root = run("buildah", "mount", self.container)
        about = json.loads(run("buildah", "inspect", "--type", "image", IMAGE))
        self.config = about["Docker"]["config"]
        self.size = int(run("du", "--summarize", "--block-size=1", "--one-file-system", self.root).split()[0])

    def remove(self):
        run("buildah", "umount", self.container)
        run("buildah", "rm", self.container)


class Group:
    """A control group with a memory limit, of whichever kind the machine has."""

    def __init__(self, name, memory):
        mount = pathlib.Path("/sys/fs/cgroup")
        one = (mount / "memory").is_dir()
        self.folder = mount / ("memory" if one else "") / name
        self.folder.mkdir()
        limits = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes") if one else ("memory.max",)
        for limit in limits:
            if (self.folder / limit).exists():
                (self.folder / limit).write_text(str(memory))
        if not (self.folder / limits[0]).exists():
            self.remove()
            raise unittest.SkipTest("no memory limit can be set here")

    def enter(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def used(self):
        """What was used at most, in MiB, files that were read included."""
        names = ("memory.max_usage_in_bytes", "memory.peak")
        return next(int((self.folder / name).read_text()) for name in names if (self.folder / name).exists()) / 2**20

    def remove(self):
        self.folder.rmdir()


class Container:
    """A running image. Its network is this machine's, so that it is reached on loopback."""

    def __init__(self, files, environment=(), uid=54321, command=None, joined=False, memory=None, files_to_add=()):
        self.name = f"tabpy-rs-test-{os.getpid()}-{time.monotonic_ns()}"
        self.bundle = pathlib.Path(tempfile.mkdtemp(prefix="tabpy-rs-image-"))
        self.port = free_port()
        config = files.config
        # PORT wins where it is set.
        port = str(self.port)
        given = {"PORT": port, "TABPY_PORT": port, "TABPY_USERNAME": USER, "TABPY_PASSWORD": PASSWORD}
        given.update(environment)
        arguments = command or config["Cmd"]
        if joined:
            arguments = [" ".join(arguments)]
        run(*RUNC, "spec", cwd=self.bundle)
        spec = json.loads((self.bundle / "config.json").read_text())
        spec["root"] = {"path": files.root, "readonly": True}
        spec["process"].update(
            terminal=False,
            user={"uid": uid, "gid": 0},
            args=[*config["Entrypoint"], *arguments],
            env=config["Env"] + [f"{name}={value}" for name, value in given.items() if value is not None],
            cwd=config["WorkingDir"],
            noNewPrivileges=True,
            capabilities={kind: [] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
        )
        spec["linux"]["namespaces"] = [space for space in spec["linux"]["namespaces"] if space["type"] != "network"]
        # The server reads its memory limit there.
        spec["mounts"] = [mount for mount in spec["mounts"] if not mount["destination"].startswith("/sys")]
        spec["mounts"].append({"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"]})
        spec["mounts"].append(
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}
        )
        for destination, path in files_to_add:
            spec["mounts"].append(
                {"destination": destination, "type": "bind", "source": str(path), "options": ["bind", "ro"]}
            )
        spec["linux"].pop("resources", None)
        self.group = Group(self.name, memory) if memory else None
        (self.bundle / "config.json").write_text(json.dumps(spec))
        self.log = (self.bundle / "log").open("w+")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*RUNC, "run", "--bundle", self.bundle, "--pid-file", self.bundle / "pid", self.name],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            preexec_fn=self.group.enter if self.group else None,
        )

    def text(self):
        return (self.bundle / "log").read_text()

    def pid(self):
        return int((self.bundle / "pid").read_text())

    def ask(self, method, path, body=None, login=f"{USER}:{PASSWORD}", timeout=40):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {}
        if login:
            headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def evaluate(self, script, *arguments):
        data = {f"_arg{number}": argument for number, argument in enumerate(arguments, 1)}
        return self.ask("POST", "/evaluate", {"script": script, "data": data})

    def wait_until_alive(self, path="/info", patience=20):
        while time.monotonic() - self.started < patience:
            try:
                if self.ask("GET", path)[0] == 200:
                    return time.monotonic() - self.started
            except OSError:
                time.sleep(0.002)
            if self.process.poll() is not None:
                break
        raise AssertionError(f"it does not answer: {self.text()}")

    def inside(self, *command):
        """A command within the container, as `docker exec` runs it."""
        return subprocess.run([*RUNC, "exec", self.name, *command], capture_output=True, text=True)

    def memory(self):
        """What its processes hold together, shared memory counted once, in MiB."""
        total, found = 0, [self.pid()]
        for pid in found:
            found += [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024

    def stop(self):
        if self.process.poll() is None:
            subprocess.run([*RUNC, "kill", self.name, "KILL"], capture_output=True)
            self.process.wait(20)
        subprocess.run([*RUNC, "delete", "--force", self.name], capture_output=True)
        if self.group:
            self.group.remove()
        self.log.close()
        shutil.rmtree(self.bundle, ignore_errors=True)


class Image(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.files = Files()

    @classmethod
    def tearDownClass(cls):
        cls.files.remove()

    def start(self, **options):
        container = Container(self.files, **options)
        self.addCleanup(container.stop)
        return container

    def test_any_uid_read_only_root_and_a_platforms_port(self):
        container = self.start()
        container.wait_until_alive()
        self.assertEqual(container.evaluate(SCIKIT, [1, 2, 3], [2, 4, 6]), (200, "[2.0, 4.0, 6.0]"))
        self.assertEqual(container.ask("GET", "/info", login=False)[0], 401)
        self.assertEqual(container.evaluate("import os\nreturn [os.getuid(), os.getgid()]"), (200, "[54321, 0]"))
        self.assertEqual(container.inside("tabpy-rs", "healthcheck").returncode, 0)
        script = "import tempfile\nwith tempfile.NamedTemporaryFile() as f:\n    return f.write(b'12345')"
        self.assertEqual(container.evaluate(script), (200, "5"))
        for program in ("tabpy", "tabpy-rs", "tabpy-user"):
            self.assertIn("Python 3.", container.inside(program, "--version").stdout)

    def test_heroku_hands_the_command_over_as_one_string(self):
        container = self.start(joined=True, environment={"DYNO": "web.1"})
        container.wait_until_alive("/healthz")

    def test_cold_start(self):
        times = []
        for _ in range(5):
            container = self.start()
            times.append(container.wait_until_alive())
            container.stop()
        print(f"figures: cold start to /info in the image: {min(times) * 1000:.0f} ms at best of 5, {max(times) * 1000:.0f} at worst")

    def test_size(self):
        print(f"figures: the image is {self.files.size / 1e6:.0f} MB")
        packages = int(run("du", "--summarize", "--block-size=1", f"{self.files.root}/opt/venv").split()[0])
        print(f"figures: of that {packages / 1e6:.0f} MB are Python packages")
        self.assertLess(self.files.size, 900e6)
        self.assertLess(self.files.size - packages, 300e6)

    def test_a_call_in_flight_survives_a_double_sigterm(self):
        container = self.start()
        container.wait_until_alive()
        container.evaluate("return 1")
        answers = []
        slow = threading.Thread(target=lambda: answers.append(container.evaluate("import time\ntime.sleep(2)\nreturn 'whole'")))
        slow.start()
        time.sleep(0.7)
        pids = container.inside("python3", "-c", "import os; print(*[p for p in os.listdir('/proc') if p.isdigit()])").stdout
        self.assertIn("1 ", pids + " ")
        for _ in range(2):
            # To each of its processes, as a platform does.
            run(*RUNC, "kill", "--all", container.name, "TERM")
            time.sleep(0.2)
        slow.join(20)
        self.assertEqual(answers, [(200, '"whole"')])
        self.assertEqual(container.process.wait(20), 0, container.text())

    def test_the_first_process_waits_for_orphans(self):
        container = self.start()
        container.wait_until_alive()
        container.inside("sh", "-c", "(sleep 0.3 &) ; exit 0")
        deadline = time.monotonic() + 10
        zombies = None
        while time.monotonic() < deadline:
            time.sleep(0.5)
            stats = [pathlib.Path(f"/proc/{child}/stat").read_text() for child in self.children(container.pid())]
            zombies = [stat for stat in stats if stat.rsplit(") ", 1)[1].startswith("Z")]
            sleeping = [stat for stat in stats if "(sleep)" in stat]
            if not zombies and not sleeping:
                return
        self.fail(f"not waited for: {zombies}")

    @staticmethod
    def children(pid):
        return [child for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]

    def test_the_guides_way_with_a_password_file(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="tabpy-rs-image-"))
        self.addCleanup(shutil.rmtree, folder)
        file = folder / "tabpypwd.txt"
        place = pathlib.Path(self.files.root) / "app/state/test-passwords.txt"
        add = ["/usr/local/bin/tabpy-user", "add", "-u", USER, "-p", PASSWORD, "-f", "/app/state/test-passwords.txt"]
        run("chroot", self.files.root, *add)
        file.write_text(place.read_text())
        place.unlink()
        alone = {"TABPY_USERNAME": None, "TABPY_PASSWORD": None, "TABPY_PWD_FILE": "tabpypwd.txt"}
        file.chmod(0o644)
        container = self.start(environment=alone, files_to_add=[("/app/tabpypwd.txt", file)])
        container.wait_until_alive()
        self.assertEqual(container.evaluate("return int(1)", [4]), (200, "1"))
        self.assertEqual(container.ask("GET", "/info", login=False)[0], 401)
        container.stop()
        file.chmod(0o600)
        container = self.start(environment=alone, files_to_add=[("/app/tabpypwd.txt", file)])
        self.assertEqual(container.process.wait(20), 2)
        text = container.text()
        for word in ("tabpypwd.txt", "54321", "600"):
            self.assertIn(word, text)

    def test_a_password_is_made_up_where_nothing_is_set(self):
        container = self.start(environment={"PORT": None, "TABPY_USERNAME": None, "TABPY_PASSWORD": None})
        container.wait_until_alive("/healthz")
        self.assertEqual(container.ask("GET", "/info", login=None)[0], 401)
        shown = re.search(r"user: +(\S+)\n +password: (\S+)\n", container.text())
        self.assertEqual(container.ask("GET", "/info", login=":".join(shown.groups()))[0], 200)

    def test_512_mb_hold(self):
        limit = 512 << 20
        try:
            container = self.start(memory=limit)
        except unittest.SkipTest:
            print("note: no memory limit can be set here; only what is used is measured")
            container = self.start()
        container.wait_until_alive("/readyz", 60)
        script = "from sklearn.ensemble import RandomForestRegressor\n" + SCIKIT
        answers = []
        for _ in range(3):
            threads = [threading.Thread(target=lambda: answers.append(container.evaluate(script, [1, 2, 3], [2, 4, 6]))) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(answers, [(200, "[2.0, 4.0, 6.0]")] * 12)
        used = container.memory()
        print(f"figures: 512 MB container after 12 calls with pandas and scikit-learn, 4 at a time: {used:.0f} MiB")
        if container.group:
            print(f"figures: the limit's own count at its highest: {container.group.used():.0f} MiB")
        self.assertLess(used, 450)
        status, text = container.evaluate("x = [0.5] * 10**9\nreturn len(x)")
        self.assertEqual(status, 500)
        self.assertIn("TABPY_WORKER_MEMORY_MB", text)
        self.assertEqual(container.evaluate("return 1"), (200, "1"))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    unittest.main(verbosity=2)
