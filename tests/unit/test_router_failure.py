"""What `gh api -i` prints, and what it means. The bytes are as gh 2.23 prints them."""

from __future__ import annotations

import json

import pytest

from relayfleet.errors import FleetError
from relayfleet.ports.github import GhAnswer
from relayfleet.ports.source import Failure
from relayfleet.sources.github.answer import parse_answer
from relayfleet.sources.github.call import Caller, Replies
from relayfleet.sources.github.failure import failure_of, failure_of_graphql
from relayfleet.sources.github.query import compose, details, probe, probe_page, search, single
from relayfleet.testing import ScriptedGh

NOW = 1_700_000_000.0


def printed(status: int, body: object = None, **headers: object) -> bytes:
    lines = "".join(f"{name.replace('_', '-').title()}: {value}\r\n" for name, value in headers.items())
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status} Whatever\n{lines}\r\n".encode() + raw


def judge(stdout: bytes, *, code: int = 1, stderr: bytes = b"") -> Failure | None:
    return failure_of(parse_answer(stdout), GhAnswer(code=code, stdout=stdout, stderr=stderr), now=NOW)


def test_the_status_line_ends_in_lf_and_the_headers_in_crlf() -> None:
    answer = parse_answer(
        b'HTTP/2.0 200 OK\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nEtag: W/"x"\r\n\r\n{"a": "b\\r\\n"}'
    )
    assert answer is not None
    assert (answer.status, answer.headers["etag"], answer.json()) == (200, 'W/"x"', {"a": "b\r\n"})
    assert answer.date == NOW
    assert parse_answer(b"error connecting to api.github.com\n") is None
    assert parse_answer(b"") is None


@pytest.mark.parametrize(
    ("stdout", "kind", "wait_s"),
    [
        (printed(401, {"message": "Bad credentials"}), "auth", None),
        (printed(403, {"message": "secondary rate limit"}, retry_after=9), "secondary", 9.0),
        (printed(403, {"message": "You have exceeded a secondary rate limit."}), "secondary", None),
        # Both at once: the secondary limit comes first.
        (
            printed(403, {"message": "x"}, retry_after=9, x_ratelimit_remaining=0, x_ratelimit_reset=int(NOW) + 50),
            "secondary",
            9.0,
        ),
        (
            printed(403, {"message": "exceeded"}, x_ratelimit_remaining=0, x_ratelimit_reset=int(NOW) + 50),
            "primary",
            51.0,
        ),
        (printed(429, {"message": "slow down"}), "secondary", None),
        (printed(403, {"message": "Resource protected by organization SAML enforcement."}), "forbidden", None),
        (printed(451, {"message": "blocked"}), "forbidden", None),
        (printed(404, {"message": "Not Found"}), "not_found", None),
        (printed(410, {"message": "Issues are disabled for this repo"}), "not_found", None),
        (printed(500, b"<html>"), "server", None),
        (printed(502, {"data": None, "errors": [{"message": "timeout"}]}), "server", None),
        (printed(422, {"message": "Validation Failed"}), "refused", None),
    ],
)
def test_failures_by_status(stdout: bytes, kind: str, wait_s: float | None) -> None:
    failure = judge(stdout)
    assert failure is not None
    assert (failure.kind, failure.wait_s) == (kind, wait_s)
    assert failure.message


def test_no_answer_at_all() -> None:
    failure = judge(b"", stderr=b"error connecting to\x1b[31m api.github.com\n")
    assert failure == Failure(kind="transport", message="error connecting to[31m api.github.com")
    no_token = judge(b"", code=4, stderr=b"set GH_TOKEN")
    assert no_token is not None and no_token.kind == "auth"


def test_the_exit_code_does_not_decide() -> None:
    assert judge(printed(200, {}), code=1) is None
    assert judge(printed(304, b""), code=1) is None
    # Spent to the last point, and answered all the same.
    assert judge(printed(200, {}, x_ratelimit_remaining=0), code=0) is None


def test_failures_inside_a_graphql_answer() -> None:
    answer = parse_answer(printed(200, {}, x_ratelimit_reset=int(NOW) + 10))
    assert answer is not None

    def kind(body: object) -> str | None:
        failure = failure_of_graphql(answer, body, now=NOW)
        return failure.kind if failure else None

    assert kind({"data": {"a0": None}, "errors": [{"type": "NOT_FOUND", "path": ["a0"], "message": "m"}]}) is None
    assert kind({"errors": [{"type": "RATE_LIMITED", "message": "m"}]}) == "primary"
    assert kind({"errors": [{"message": "You have exceeded a secondary rate limit."}]}) == "secondary"
    assert kind({"data": None, "errors": [{"type": "RESOURCE_LIMITS_EXCEEDED", "message": "m"}]}) == "server"
    assert kind({"errors": [{"message": "Field 'x' does not exist"}]}) == "refused"
    assert kind({}) == "server"
    assert kind([]) == "server"


def test_no_string_is_pasted_into_a_query() -> None:
    evil = 'acme/x") { id } }'
    questions = [probe(evil, ["issues"]), probe_page(evil, "pulls", '"'), search(evil, "issues", whole=True)]
    query = compose([*questions, details([evil]), single(evil, 7)])
    assert evil not in query.text and '"' not in query.text
    assert query.aliases == ("a0", "a1", "a2", "a3", "a4")
    assert query.variables["v2_0"] == evil
    many = compose([probe(f"acme/repo{index}", ["pulls"]) for index in range(12)])
    assert many.variables["v11_1"] == "repo11"
    assert "$v11_0, name: $v11_1" in many.text


async def test_one_bad_alias_does_not_spoil_the_others() -> None:
    body = {
        "data": {"a0": None, "a1": {"login": "me"}},
        "errors": [{"type": "NOT_FOUND", "path": ["a0"], "message": "m"}],
    }
    gh = ScriptedGh(lambda args, stdin: GhAnswer(code=1, stdout=printed(200, body), stderr=b"gh: m"))
    replies = await Caller(gh, lambda: NOW).ask([probe("a/b", ["issues"]), probe("c/d", ["issues"])], "probe")
    assert isinstance(replies, Replies)
    assert replies.data == [None, {"login": "me"}]
    [(args, stdin)] = gh.calls
    assert args == ("api", "-i", "graphql", "--input", "-")
    assert json.loads(stdin)["variables"]["v0_0"] == "a"


async def test_a_program_that_cannot_run_is_a_transport_failure() -> None:
    def refuse(args: object, stdin: bytes) -> GhAnswer:
        raise FleetError("run 'gh'", "no answer within 15 s", hint="check the network")

    failure = await Caller(ScriptedGh(refuse), lambda: NOW).get("user")
    assert failure == Failure(kind="transport", message="cannot run 'gh': no answer within 15 s (check the network)")
