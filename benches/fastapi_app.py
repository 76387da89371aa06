"""What a user would write instead: FastAPI under granian, with scripts compiled once and answers in the
same bytes. One script at a time in each process, no limits, no deadline."""

import json
from functools import lru_cache

from fastapi import FastAPI, Request, Response

app = FastAPI()


@lru_cache(maxsize=1000)
def compiled(script, count):
    names = ", ".join(f"_arg{number}" for number in range(1, count + 1))
    body = "\n".join(f" {line}" for line in script.splitlines())
    return compile(f"def _user_script({names}):\n{body}\n", "<script>", "exec")


@app.get("/info")
def info():
    return {}


@app.post("/evaluate")
async def evaluate(request: Request):
    body = await request.json()
    arguments = body["data"].values()
    names = {}
    exec(compiled(body["script"], len(arguments)), names)
    return Response(json.dumps(names["_user_script"](*arguments)), media_type="application/json")
