"""What scripts/walls-schema adds to schemathesis: bodies by lines, and the wall.

Two runs, one after the other. Tenant A's notes every id that A's answers name. Tenant
B's puts these ids wherever B names one (path, query, header, body), and fails for an
answer that names one of them.
"""

import atexit
import contextlib
import json
import os
import random
import re
from collections import Counter
from pathlib import Path

import jsonschema_rs
import schemathesis

NOTES = Path(os.environ["WALLS_NOTES"])
IS_A = os.environ["WALLS_TENANT"] == "a"
DOCUMENT = json.loads(Path(os.environ["WALLS_DOCUMENT"]).read_text())
ID = re.compile(r"\b(ten|key|job|grp|bat|bgt|ctx|inc)_[0-9a-z]{26}\b")
# These say of each id in the body, one by one, why nothing was done: of a foreign one
# what they say of one that does not exist.
ECHO = {("POST", "/v1/jobs/cancel"), ("POST", "/v1/jobs/retry")}
# The id in the path is the caller's own way in: asked to, a run would lock itself out.
OWN_KEY = os.environ["WALLS_OWN_KEY"]

own: set[str] = set()
foreign: dict[str, list[str]] = {}
if not IS_A:
    for one in json.loads((NOTES / "a.ids").read_text()):
        foreign.setdefault(one[:4], []).append(one)
secret = {one for ids in foreign.values() for one in ids}
# Requests; those that were done; those of B that named an id of A's.
statuses: dict[str, Counter[int]] = {}
calls = {"cases": 0, "good": 0, "crossed": 0}
chance = random.Random(8)


def swap(value: object) -> object:
    """The same, with three of four ids exchanged for tenant A's of their kind."""
    if isinstance(value, str):
        found = ID.fullmatch(value)
        theirs = foreign.get(value[:4]) if found else None
        return chance.choice(theirs) if theirs and chance.random() < 0.75 else value
    if isinstance(value, list):
        return [swap(one) for one in value]
    if isinstance(value, dict):
        return {name: swap(one) for name, one in value.items()}
    return value


# What kind of id stands in a path behind that word, and in a query under that name.
KINDS = {"jobs": "job_", "groups": "grp_", "batches": "bat_", "budgets": "bgt_", "contexts": "ctx_", "keys": "key_"}
KINDS |= {"group": "grp_", "batch": "bat_"}


def place(values: dict[str, object], word: str = "") -> dict[str, object]:
    """Parameters, three of four ids among them exchanged for tenant A's of their kind."""
    placed = {}
    for name, value in values.items():
        theirs = foreign.get(KINDS.get(word if name == "id" else name, ""))
        placed[name] = chance.choice(theirs) if theirs and chance.random() < 0.75 else swap(value)
    return placed


def good(body: dict[str, object]) -> dict[str, object]:
    """A job that is taken, with one of the generated fields: no schema says what a job type wants."""
    kept = [name for name in body if name not in ("type", "input", "params")]
    name = chance.choice(kept) if kept and chance.random() < 0.5 else None
    job = {"type": "summarize", "input": {"text": f"Minutes of meeting {chance.randrange(1000)}."}}
    return job | ({name: body[name]} if name else {})


# What no schema of the document tells, so that chance alone never says it.
BUDGET = {"scope": "tenant", "period": "month", "limit": "1000.00", "hard": False}
JOB_TYPE = {
    "model": "claude-haiku-5-5", "max_tokens": 100, "template": "Shorten: {{ text }}",
    "input_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


def write_well(case) -> None:
    """Puts a body in that is taken, and leaves out what else may be wrong."""
    match case.method, case.path:
        case "POST", "/v1/jobs" | "/v1/jobs/bulk":
            case.body = good(case.body)
        case "POST", "/v1/estimate":
            case.body = {"jobs": [good({})]}
        case "POST", "/v1/job-types":
            case.body = JOB_TYPE | {"name": f"type_{chance.randrange(1000)}"}
        case "PUT", "/v1/budgets":
            case.body = BUDGET
        case _:
            return
    if chance.random() < 0.5:
        case.query = {}
        case.headers.pop("Idempotency-Key", None)


@schemathesis.hook
def before_call(_, case, kwargs):
    if isinstance(case.body, dict) and chance.random() < 0.5:
        write_well(case)
    if case.path == "/v1/keys/{id}" and case.path_parameters.get("id") == OWN_KEY:
        case.path_parameters = {"id": "key_" + "0" * 26}
    if IS_A:
        return
    if "{id}" in case.path:
        case.path_parameters = place(dict(case.path_parameters), case.path.split("/")[2])
    if case.query:
        case.query = place(dict(case.query))
    if isinstance(case.body, dict | list):
        case.body = swap(case.body)


@schemathesis.hook
def after_call(_, case, response):
    calls["cases"] += 1
    calls["good"] += response.status_code < 300
    statuses.setdefault(f"{case.method} {case.path}", Counter())[response.status_code] += 1
    sent = f"{response.request.url} {response.request.body!r}"
    calls["crossed"] += any(one.group() in secret for one in ID.finditer(sent))
    if case.path.startswith(KEEPS):
        said.update(one.group() for one in ID.finditer(sent))
    if IS_A:
        own.update(one.group() for one in ID.finditer(response.content.decode(errors="replace")))


# An operation keeps the filter that it was begun with, and shows it: ids that B said.
KEEPS = "/v1/operations"
said: set[str] = set()


@schemathesis.check
def tenants_are_walls(_, response, case):
    """No answer to tenant B names what is tenant A's; a refusal may repeat what was asked."""
    if IS_A:
        return
    named = {one.group() for one in ID.finditer(response.content.decode(errors="replace"))} & secret
    named |= {one.group() for one in ID.finditer(str(response.headers))} & secret
    if response.status_code >= 400 or (case.method, case.path) in ECHO:
        request = f"{response.request.url} {response.request.body!r}"
        named -= {one.group() for one in ID.finditer(request)}
    if case.path.startswith(KEEPS):
        named -= said
    assert not named, f"an answer to tenant B names tenant A's {sorted(named)}"


LINES = {
    path: jsonschema_rs.validator_for(
        {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    )
    for path, schema in {"/v1/groups/{id}/results": "JobResult", "/v1/export": "ExportLine"}.items()
}


@schemathesis.check
def each_line_is_a_result(_, response, case):
    """Of what comes by lines the document describes one line, and schemathesis the whole."""
    if "application/x-ndjson" not in response.headers.get("content-type", [""])[0]:
        return
    for line in response.content.splitlines():
        LINES[case.path].validate(json.loads(line))


@schemathesis.serializer("application/x-ndjson")
def by_lines(_, value):
    """One line, sometimes two of the same."""
    if isinstance(value, bytes | str):
        return value
    return "\n".join([json.dumps(value)] * chance.choice([1, 1, 2])).encode()


@atexit.register
def note():
    with contextlib.suppress(OSError):
        name = "a" if IS_A else "b"
        (NOTES / f"{name}.calls").write_text(json.dumps(calls | {"statuses": {what: many for what, many in statuses.items() if len(what) < 60}}))
        if IS_A:
            (NOTES / "a.ids").write_text(json.dumps(sorted(own)))
