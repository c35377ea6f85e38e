"""The official Python SDK against a running stand-in: create, poll, results.

Needs `pip install anthropic`. Where the stand-in is and which key it takes come
from ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY. Exits with 1 if a check failed;
the last line is `N passed, M failed`.
"""

import json
import os
import sys
import time
import traceback
import uuid

import anthropic

RUN = uuid.uuid4().hex[:8]
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def connect(**options):
    return anthropic.Anthropic(api_key=os.environ.get("ANTHROPIC_API_KEY", "sk-ant-standin"), **options)


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
def list_walks_every_page():
    client = connect()
    made = [client.messages.batches.create(requests=[request(f"page{n}", "Foxes jump.")]).id for n in range(3)]
    seen = [batch.id for batch in client.messages.batches.list(limit=2)]
    assert len(seen) == len(set(seen))
    assert [one for one in seen if one in made] == made[::-1], "newest first"


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
            failed += 1
            print(f"FAILED  {function.__name__}")
            traceback.print_exc()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
