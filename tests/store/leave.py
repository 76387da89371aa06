"""Deploys to a TabPy, for its state folder to be taken over afterwards, and prints what it then answers, as JSON.

    python leave.py URL
"""

import json
import sys
import time

from sklearn.linear_model import LinearRegression
from tabpy.tabpy_tools.client import Client
from tabpy.tabpy_tools.schema import generate_schema

time.sleep = lambda seconds, sleep=time.sleep: sleep(min(seconds, 0.05))


def versioned(version):
    def add(x, y):
        """Zählt zwei Zahlen.

        Auch größere.
        """
        return [version, x + y]

    # As an editor that cuts indentation would have it.
    add.__doc__ = "Zählt zwei Zahlen.\n\nAuch größere."
    return add


model = LinearRegression().fit([[0], [1]], [1, 3])


def predict(xs):
    """Predicts."""
    return [round(p) for p in model.predict([[x] for x in xs])]


def both(x, y):
    return tabpy.query("add", x, y)["response"]  # noqa: F821


client = Client(sys.argv[1])
for version in (1, 2, 3):
    client.deploy("add", versioned(version), "Adds", schema={"x": 1}, override=True, is_public=True)
client.deploy("my constant", lambda: 42)
client.deploy("predict", predict, schema=generate_schema({"xs": [1]}, [1]))
for name in ("missing", "broken", "older"):
    client.deploy(name, lambda: name)

answers = {
    "add": client.query("add", 2, 3),
    "my constant": client.query("my constant"),
    "predict": client.query("predict", xs=[2, 3]),
}
endpoints = {name: client._service.service_client.GET(f"endpoints/{name}") for name in answers}
print(json.dumps({"endpoints": endpoints, "answers": answers}))
