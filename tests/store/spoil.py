"""Makes a TabPy's state folder one that has seen some years: an alias, as older versions keep them, an archive
that is gone, one of another Python, and an entry that is cut short.

    python spoil.py STATE_PATH
"""

import json
import os
import re
import shutil
import sys
import types

import cloudpickle.cloudpickle as cloudpickle
from tabpy.tabpy_tools.custom_query_object import CustomQueryObject

state = sys.argv[1]
archives = os.path.join(state, "query_objects")
shutil.rmtree(os.path.join(archives, "missing"))

# Python 3.10 has no qualified names and no exception tables.
reduce_code = cloudpickle.Pickler._dispatch_table[types.CodeType]


def older(code):
    make, parts = reduce_code(code)
    return make, parts[:12] + parts[13:15] + parts[16:]


cloudpickle.Pickler._dispatch_table[types.CodeType] = older
cloudpickle.Pickler.dispatch_table[types.CodeType] = older
shutil.rmtree(os.path.join(archives, "older", "1"))
CustomQueryObject(lambda: "older", "").save(os.path.join(archives, "older", "1"))

path = os.path.join(state, "state.ini")
with open(path, encoding="utf-8") as file:
    text = file.read()
text, cut = re.subn(r"(?m)^(broken = \{.{20}).*$", r"\1", text)
assert cut == 1, text
alias = {"description": "", "type": "alias", "version": 2, "dependencies": ["add"], "target": "add", "is_public": True}
section = "[Query Objects Service Versions]\n"
assert section in text, text
text = text.replace(section, f"{section}plus = {json.dumps(alias)}\na/b = {{}}\n")
with open(path, "w", encoding="utf-8") as file:
    file.write(text)
