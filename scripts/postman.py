#!/usr/bin/env python3
"""Turns the server's description of its API into a Postman collection.

    scripts/postman.py openapi.json > docs/postman_collection.json

Each request checks the status of its answer. In their order they deploy the function `add`, call it, and remove it
again; routes that need what these lack are left out (LEFT_OUT says why).
"""

import json
import sys

# Those that make something come before those that use it, and those that remove it last.
FIRST = ["info", "evaluate", "deploy", "add_endpoint"]
LAST = ["roll_back", "remove_endpoint", "remove"]
LEFT_OUT = {"query_by_get": "Postman sends no body with GET"}


def place(identifier):
    if identifier in FIRST:
        return FIRST.index(identifier) - len(FIRST)
    return 1 + LAST.index(identifier) if identifier in LAST else 0


def example(body, schemas):
    if "example" in body:
        return body["example"]
    name = body["schema"].get("$ref", "").rsplit("/", 1)[-1]
    return schemas.get(name, {}).get("example", "")


def request(method, path, operation, schemas):
    parameters = operation.get("parameters", [])
    variables = [{"key": p["name"], "value": p.get("example", "")} for p in parameters if p["in"] == "path"]
    query = [
        {"key": p["name"], "value": str(p.get("example", "")), "disabled": not p["required"]}
        for p in parameters
        if p["in"] == "query"
    ]
    headers = [
        {"key": p["name"], "value": p.get("example", ""), "disabled": not p["required"]}
        for p in parameters
        if p["in"] == "header"
    ]
    text = path.replace("{", ":").replace("}", "")
    asked = "&".join(f"{p['key']}={p['value']}" for p in query if not p["disabled"])
    made = {
        "method": method.upper(),
        "header": headers,
        "url": {
            "raw": "{{baseUrl}}" + text + (f"?{asked}" if asked else ""),
            "host": ["{{baseUrl}}"],
            "path": text.strip("/").split("/"),
            "variable": variables,
            "query": query,
        },
        "description": " ".join((operation.get("summary", "") + " " + operation.get("description", "")).split()),
    }
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        value = example(body, schemas)
        if not value:
            continue
        raw = value if isinstance(value, str) else json.dumps(value, indent=2)
        language = "json" if kind == "application/json" else "text"
        made["body"] = {"mode": "raw", "raw": raw, "options": {"raw": {"language": language}}}
        made["header"] = [{"key": "Content-Type", "value": kind}, *headers]
        break
    return made


def item(method, path, operation, schemas):
    good = [int(status) for status in operation["responses"] if status.startswith("2")]
    check = [
        f"pm.test('answers {' or '.join(map(str, good))}', () => {{",
        f"    pm.expect(pm.response.code).to.be.oneOf({good});",
        "});",
    ]
    return {
        "name": operation["operationId"],
        "request": request(method, path, operation, schemas),
        "event": [{"listen": "test", "script": {"type": "text/javascript", "exec": check}}],
    }


def collection(document):
    schemas = document["components"]["schemas"]
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if operation["operationId"] not in LEFT_OUT
    ]
    operations.sort(key=lambda found: place(found[2]["operationId"]))
    # Only an earlier version can be put in force again.
    names = [found[2]["operationId"] for found in operations]
    operations.insert(names.index("roll_back"), operations[names.index("deploy")])
    basic = [
        {"key": "username", "value": "{{user}}", "type": "string"},
        {"key": "password", "value": "{{password}}", "type": "string"},
    ]
    return {
        "info": {
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": {"type": "basic", "basic": basic},
        "variable": [
            {"key": "baseUrl", "value": "http://localhost:9004"},
            {"key": "user", "value": ""},
            {"key": "password", "value": ""},
        ],
        "item": [item(*operation, schemas) for operation in operations],
    }


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    print(json.dumps(collection(document), indent=2))


if __name__ == "__main__":
    main()
