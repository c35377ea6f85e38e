"""The official Python SDK against a running stand-in: batches, errors, retries, reports.

Needs `pip install anthropic`. Where the stand-in is and which key it takes come
from ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY. Exits with 1 if a check failed;
the last line is `N passed, M failed`.
"""

import json
import os
import sys
import time
import traceback
import urllib.request
import uuid
from datetime import datetime, timedelta, timezone

import anthropic

RUN = uuid.uuid4().hex[:8]
BASE = os.environ.get("ANTHROPIC_BASE_URL", "http://127.0.0.1:8090")
KEY = os.environ.get("ANTHROPIC_API_KEY", "sk-ant-standin")
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def connect(**options):
    return anthropic.Anthropic(**{"api_key": KEY, **options})


def rules(*rules):
    """Asks the stand-in for faults, for this walk's key only."""
    body = json.dumps({"rules": [{"key": KEY, **rule} for rule in rules]}).encode()
    call = urllib.request.Request(f"{BASE}/_standin/faults", body, method="POST")
    with urllib.request.urlopen(call) as answer:
        assert answer.status == 200


def clear_rules():
    call = urllib.request.Request(f"{BASE}/_standin/faults", method="DELETE")
    with urllib.request.urlopen(call) as answer:
        return json.load(answer)


def fails(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def request(name, text, **params):
    return {
        "custom_id": f"{RUN}-{name}",
        "params": {
            "model": "claude-haiku-5-5",
            "max_tokens": 300,
            "messages": [{"role": "user", "content": text}],
            **params,
        },
    }


def wait_for(client, batch_id, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        batch = client.messages.batches.retrieve(batch_id)
        if batch.processing_status == "ended":
            return batch
        assert time.monotonic() < deadline, f"{batch_id} did not end in {seconds} s"
        time.sleep(0.2)


@check
def create_poll_results():
    client = connect()
    schema = {
        "type": "object",
        "properties": {"category": {"type": "string", "enum": ["animals", "plants"]}},
        "required": ["category"],
        "additionalProperties": False,
    }
    batch = client.messages.batches.create(
        requests=[
            request("text", "Summarize in at most 20 words:\n\nFoxes jump over dogs. Dogs sleep."),
            request(
                "json",
                "<document>All plants need light. Plants grow.</document>",
                output_config={"format": {"type": "json_schema", "schema": schema}},
            ),
            request("temperature", "Foxes jump.", temperature=0.5),
            request("model", "Foxes jump.", model="claude-none"),
        ]
    )
    assert batch.id.startswith("msgbatch_standin_"), batch.id
    assert batch.type == "message_batch"
    assert batch.processing_status == "in_progress"
    assert batch.request_counts.processing == 4
    assert batch.results_url is None and batch.ended_at is None
    assert (batch.expires_at - batch.created_at).total_seconds() == 24 * 3600

    ended = wait_for(client, batch.id)
    assert ended.ended_at is not None and ended.results_url is not None
    counts = ended.request_counts
    assert (counts.processing, counts.succeeded, counts.errored) == (0, 2, 2), counts

    results = {line.custom_id: line.result for line in client.messages.batches.results(batch.id)}
    assert set(results) == {f"{RUN}-{name}" for name in ("text", "json", "temperature", "model")}

    text = results[f"{RUN}-text"]
    assert text.type == "succeeded"
    assert text.message.id.startswith("msg_standin_")
    assert text.message.model == "claude-haiku-5-5"
    assert text.message.stop_reason == "end_turn"
    assert text.message.content[0].text == "Foxes jump over dogs. Dogs sleep."
    assert text.message.usage.service_tier == "batch"
    assert text.message.usage.input_tokens > 0 and text.message.usage.output_tokens > 0

    answer = json.loads(results[f"{RUN}-json"].message.content[0].text)
    assert answer == {"category": "plants"}, answer

    for name, kind in (("temperature", "invalid_request_error"), ("model", "not_found_error")):
        result = results[f"{RUN}-{name}"]
        assert result.type == "errored", result
        assert result.error.type == "error"
        assert result.error.error.type == kind, result
        assert result.error.request_id.startswith("req_"), result
    assert "temperature" in results[f"{RUN}-temperature"].error.error.message


@check
def all_four_ends():
    client = connect()
    rules({"on": ["create"], "fault": {"batch": {"expired": 0.3}}})
    requests = [request(f"n{n}", "Foxes jump.", **({"temperature": 1} if n % 2 else {})) for n in range(40)]
    ended = wait_for(client, client.messages.batches.create(requests=requests).id)
    seen = {}
    for line in client.messages.batches.results(ended.id):
        seen.setdefault(line.result.type, []).append(line.custom_id)
        assert type(line.result).__name__ == f"MessageBatch{line.result.type.capitalize()}Result"
    assert set(seen) == {"succeeded", "errored", "expired"}, seen.keys()
    counts = ended.request_counts
    assert counts.expired == len(seen["expired"]) and counts.errored == len(seen["errored"])

    batch = client.messages.batches.create(requests=requests)
    client.messages.batches.cancel(batch.id)
    ended = wait_for(client, batch.id)
    types = [line.result.type for line in client.messages.batches.results(ended.id)]
    assert len(types) == 40 and types.count("canceled") == ended.request_counts.canceled > 0


@check
def list_walks_every_page_both_ways():
    client = connect()
    made = [client.messages.batches.create(requests=[request(f"page{n}", "Foxes jump.")]).id for n in range(5)]
    seen = [batch.id for batch in client.messages.batches.list(limit=2)]
    assert len(seen) == len(set(seen))
    assert [one for one in seen if one in made] == made[::-1], "newest first"
    newer = [batch.id for batch in client.messages.batches.list(limit=2, before_id=made[0])]
    assert sorted(newer) == sorted(made[1:]), newer
    older = [batch.id for batch in client.messages.batches.list(limit=2, after_id=made[2])]
    assert older[:2] == [made[1], made[0]], older


@check
def cancel_and_delete():
    client = connect()
    batch = client.messages.batches.create(requests=[request("cancel", "Foxes jump.")])
    canceling = client.messages.batches.cancel(batch.id)
    assert canceling.processing_status == "canceling" and canceling.cancel_initiated_at is not None
    ended = wait_for(client, batch.id)
    counts = ended.request_counts
    assert counts.canceled + counts.succeeded == 1, counts
    assert client.messages.batches.delete(batch.id).type == "message_batch_deleted"
    try:
        client.messages.batches.retrieve(batch.id)
    except anthropic.NotFoundError as error:
        assert error.body["error"]["type"] == "not_found_error"
    else:
        raise AssertionError("a deleted batch was found")


@check
def a_bad_create_is_a_bad_request():
    client = connect()
    try:
        client.messages.batches.create(requests=[request("x" * 80, "Foxes jump.")])
    except anthropic.BadRequestError as error:
        assert "requests.0.custom_id" in error.body["error"]["message"], error.body
        assert error.request_id.startswith("req_"), error.request_id
    else:
        raise AssertionError("a custom_id of more than 64 characters was taken")


@check
def every_status_is_its_own_exception():
    client = connect(max_retries=0)
    for status, kind, name in (
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (402, anthropic.PaymentRequiredError, "billing_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (409, anthropic.ConflictError, "conflict_error"),
        (413, anthropic.ContentTooLargeError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (503, anthropic.ServiceUnavailableError, "api_error"),
        (504, anthropic.GatewayTimeoutError, "timeout_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ):
        rules({"on": ["list"], "fault": {"status": {"status": status}}})
        error = fails(kind, lambda: client.messages.batches.list())
        assert type(error) is kind, error
        assert (error.status_code, error.type) == (status, name), error
        assert error.request_id.startswith("req_")
    for status, code, kind in (
        (429, "enforced_spend_limit_reached", anthropic.RateLimitError),
        (429, "ramp_limit_exceeded", anthropic.RateLimitError),
        (400, "organization_on_hold", anthropic.BadRequestError),
        (400, "cmek_key_disabled", anthropic.BadRequestError),
    ):
        rules({"on": ["create"], "fault": {"status": {"status": status, "code": code}}})
        error = fails(kind, lambda: client.messages.batches.create(requests=[request("e", "Foxes jump.")]))
        assert error.error_code == code, error
    rules({"on": ["create"], "fault": {"status": {"status": 413, "body": "html"}}})
    error = fails(
        anthropic.ContentTooLargeError,
        lambda: client.messages.batches.create(requests=[request("e", "Foxes jump.")]),
    )
    assert error.type is None, "no envelope"


@check
def errors_that_nobody_asked_for():
    client = connect(max_retries=0)
    fails(anthropic.NotFoundError, lambda: client.messages.batches.retrieve("msgbatch_none"))
    fails(anthropic.NotFoundError, lambda: client.models.retrieve("claude-none"))
    fails(anthropic.BadRequestError, lambda: client.messages.batches.create(requests=[]))
    twice = [request("same", "Foxes jump.")] * 2
    fails(anthropic.BadRequestError, lambda: client.messages.batches.create(requests=twice))
    fails(anthropic.BadRequestError, lambda: client.messages.batches.list(limit=1001))
    batch = client.messages.batches.create(requests=[request("early", "Foxes jump.")])
    fails(anthropic.AnthropicError, lambda: client.messages.batches.results(batch.id))
    fails(anthropic.BadRequestError, lambda: client.messages.batches.delete(batch.id))
    other = connect(api_key="sk-ant-somebody-else", max_retries=0)
    fails(anthropic.NotFoundError, lambda: other.messages.batches.retrieve(batch.id))
    fails(anthropic.PermissionDeniedError, lambda: client.organization.rate_limits.list())
    ended = wait_for(client, batch.id)
    fails(anthropic.BadRequestError, lambda: client.messages.batches.cancel(ended.id))


@check
def retries_obey_the_headers():
    client = connect()
    once = [request("retry", "Foxes jump.")]
    rules(
        {"on": ["create"], "fault": {"status": {"status": 529, "retry_after_ms": "700"}}},
    )
    began = time.monotonic()
    client.messages.batches.create(requests=once)
    assert 0.7 <= time.monotonic() - began < 3
    rules({"on": ["create"], "fault": {"status": {"status": 429, "retry_after": "1"}}})
    began = time.monotonic()
    client.messages.batches.create(requests=once)
    assert 1 <= time.monotonic() - began < 3
    rules({"on": ["create"], "fault": {"status": {"status": 400, "should_retry": True, "retry_after_ms": "10"}}})
    client.messages.batches.create(requests=once)
    rules({"on": ["create"], "times": 2, "fault": {"status": {"status": 529, "should_retry": False}}})
    fails(anthropic.OverloadedError, lambda: client.messages.batches.create(requests=once))
    clear_rules()


@check
def connections_break():
    client = connect(max_retries=0)
    rules({"on": ["retrieve"], "fault": {"reset": {"when": "answer"}}})
    fails(anthropic.APIConnectionError, lambda: client.messages.batches.retrieve("msgbatch_none"))
    rules({"on": ["list"], "fault": "hang"})
    fails(anthropic.APITimeoutError, lambda: client.with_options(timeout=0.3).messages.batches.list())
    requests = [request(f"n{n}", "Foxes jump.") for n in range(30)]
    ended = wait_for(client, client.messages.batches.create(requests=requests).id)
    rules({"on": ["results"], "fault": {"lines": {"what": "reset", "at": [7]}}})
    fails(Exception, lambda: list(client.messages.batches.results(ended.id)))
    rules({"on": ["results"], "fault": {"redirect": {}}})
    assert len(list(client.messages.batches.results(ended.id))) == 30
    for what in ("no_newline", "crlf", "line_separator", "result_type", "block_type"):
        rules({"on": ["results"], "fault": {"lines": {"what": what, "at": [29]}}})
        assert len(list(client.messages.batches.results(ended.id))) == 30, what


@check
def limits_and_reports():
    client = connect(api_key="sk-ant-admin01-walk")
    limits = {entry.group.type: entry for entry in client.organization.rate_limits.list(limit=2)}
    values = {limit.type: limit.value for limit in limits["batch"].limits}
    assert values["enqueued_batch_requests"] == 500_000
    raw = connect().messages.with_raw_response.create(
        model="claude-haiku-5-5", max_tokens=50, messages=[{"role": "user", "content": "Foxes jump."}]
    )
    assert int(raw.headers["anthropic-ratelimit-requests-remaining"]) > 0
    now = datetime.now(timezone.utc)
    span = {"starting_at": now - timedelta(hours=2), "ending_at": now + timedelta(hours=2)}
    analytics = client.beta.organization.analytics
    rows = list(analytics.usage.list(**span, group_by=["service_tier", "model"], limit=1))
    tiers = {row.group.service_tier: row for row in rows}
    assert tiers["batch"].usage.requests > tiers["standard"].usage.requests > 0, rows
    assert tiers["batch"].usage.total_tokens > 0 and tiers["batch"].group.model == "claude-haiku-5-5"
    costs = list(analytics.cost.list(**span, group_by=["service_tier", "token_type"]))
    batch = [row for row in costs if row.group.service_tier == "batch"]
    assert {row.group.token_type for row in batch} == {"uncached_input_tokens", "output_tokens"}
    assert all(float(row.cost.amount) > 0 and row.cost.currency == "USD" for row in batch)
    # The older family has no place in the SDK; it is called as it is documented.
    stamp = (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for path in ("usage_report/messages", "cost_report"):
        page = client.get(f"/v1/organizations/{path}?starting_at={stamp}", cast_to=object)
        assert page["data"][-1]["results"], path


@check
def messages_tokens_and_models():
    client = connect()
    messages = [{"role": "user", "content": "Foxes jump over dogs."}]
    message = client.messages.create(model="claude-haiku-5-5", max_tokens=100, messages=messages)
    assert message.content[0].text == "Foxes jump over dogs."
    assert message.usage.service_tier == "standard"
    count = client.messages.count_tokens(model="claude-haiku-5-5", messages=messages)
    assert count.input_tokens == message.usage.input_tokens
    names = [model.id for model in client.models.list(limit=5)]
    assert "claude-haiku-5-5" in names and len(names) > 5
    assert client.models.retrieve("claude-haiku-4-5").id.startswith("claude-haiku-4-5-")


def main():
    failed = 0
    for function in CHECKS:
        try:
            function()
            print(f"ok      {function.__name__}")
        except Exception:
            clear_rules()
            failed += 1
            print(f"FAILED  {function.__name__}")
            traceback.print_exc()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
