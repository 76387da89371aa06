"""What the server holds in memory: the proportional set size (PSS) of all its processes, so that what they share
counts once. Prints a table; needs a release build and .venv (`cargo build --release`)."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PROJECT = pathlib.Path(__file__).parent.parent
PATIENCE = 60


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def family(pid):
    """The process and all below it."""
    parents = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            pass  # it has ended meanwhile
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found


def pss(pid):
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def call(port, script):
    body = json.dumps({"script": script, "data": {}}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/evaluate", body, timeout=PATIENCE) as answer:
        return answer.read().decode()


def measure(name, workers, preload, script):
    with tempfile.TemporaryDirectory() as state:
        port = free_port()
        settings = {
            "PORT": port, "TABPY_HOST": "127.0.0.1", "TABPY_ALLOW_OPEN": "true", "TABPY_STATE_PATH": state,
            "TABPY_PYTHON": PROJECT / ".venv", "TABPY_WORKERS": workers, "TABPY_MAX_WORKERS": workers,
            "TABPY_PRELOAD": preload,
        }
        binary = PROJECT / os.environ.get("CARGO_TARGET_DIR", "target") / "release/tabpy-rs"
        environment = {"PATH": os.environ["PATH"]} | {key: str(value) for key, value in settings.items()}
        server = subprocess.Popen([binary], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + PATIENCE
            # The front, the fork server, and the workers.
            while len(family(server.pid)) < workers + 2:
                assert time.monotonic() < deadline, "the workers do not come"
                time.sleep(0.1)
            time.sleep(2)
            if script:
                threads = [threading.Thread(target=call, args=(port, script)) for _ in range(workers)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                time.sleep(3)
            each = [pss(pid) for pid in family(server.pid)]
            front, forker, *others = each
            print(f"| {name} | {sum(each):.0f} | {front:.0f} | {forker:.0f} | {sum(others) / len(others):.1f} |", flush=True)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE)


# What no server that runs Python can do without, for two columns of a million floats.
PLAIN = """import random
import numpy, pandas
columns = [[random.random() for _ in range(1_000_000)] for _ in range(2)]
print(flush=True)
input()"""


def measure_plain(name):
    python = subprocess.Popen([PROJECT / ".venv/bin/python", "-c", PLAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    python.stdout.readline()
    print(f"| {name} | {pss(python.pid):.0f} | – | – | – |", flush=True)
    python.communicate(b"\n", PATIENCE)


# Each worker is kept busy until all of them have the model.
SKLEARN = """import time
from sklearn.linear_model import LinearRegression
import numpy
x = numpy.arange(2000.0).reshape(-1, 2)
model = LinearRegression().fit(x, x[:, 0])
time.sleep(3)
return float(model.predict(x)[0])"""

print(f"Python {sys.version.split()[0]}; MiB of PSS\n")
print("| | all | front | fork server | a worker |")
print("|---|--:|--:|--:|--:|")
measure("idle, 2 workers, numpy and pandas preloaded", 2, "numpy,pandas", None)
measure("8 workers have used scikit-learn, preloaded", 8, "numpy,pandas,sklearn.linear_model", SKLEARN)
measure("8 workers have used scikit-learn, not preloaded", 8, "numpy,pandas", SKLEARN)
measure_plain("Python alone: numpy, pandas and 2 x 1 M floats")
