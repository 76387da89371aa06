"""Deploys to a TabPy, for its state folder to be taken over afterwards.

    python leave.py URL
"""

import sys
import time

from tabpy.tabpy_tools.client import Client

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


client = Client(sys.argv[1])
for version in (1, 2, 3):
    client.deploy("add", versioned(version), "Adds", schema={"x": 1}, override=True, is_public=True)
client.deploy("my constant", lambda: 42)
