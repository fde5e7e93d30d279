"""The launch file and the words between runner and shim come back as they were."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relayfleet.model.agent import AgentSpec, Claude, Credential, Endpoint, InboxPolicy, Runtime
from relayfleet.model.names import AgentName
from relayfleet.model.notice import Notify
from relayfleet.model.permission import Permissions, Rule
from relayfleet.wire.launch import decode_launch, encode_launch
from relayfleet.wire.shim import decode_answer, encode_message, encode_offer

FULL = AgentSpec(
    name=AgentName("coder"),
    role="coder",
    fleet="f",
    fleet_id="0" * 12,
    port=8801,
    repo="acme/WMS",
    ssh_agent=True,
    claude=Claude(
        command=("node", "cli.js"),
        args=("--debug",),
        model="m",
        endpoint=Endpoint(mode="custom", url="http://x"),
        mcp_servers={"own": {"command": "x", "args": ["1"]}},
    ),
    runtime=Runtime(backend="ssh", host="vm", inbox_transport="ssh"),
    inbox=InboxPolicy(seen_timeout_s=1.5, max_attempts=2),
    permissions=Permissions(
        timeout_s=60.0,
        on_timeout="allow",
        rules=(
            Rule(tool="Bash", pattern="git *", do="allow"),
            Rule(tool="Bash", pattern="a; b", do="deny", exact=True),
        ),
    ),
    notify=Notify(command=("mail", "-s", "x"), timeout_s=5.0),
    env={"A": "b"},
    credentials={
        "gh": Credential(from_command=("gh", "auth", "token"), as_env="GH_TOKEN"),
        "k": Credential(from_file="~/k", as_file="~/k", mode="0400"),
    },
    plugins={"inbox": {}, "timer": {"every_s": 5}},
)


@pytest.mark.parametrize("spec", [FULL, AgentSpec(name=AgentName("x"), role="base", fleet="f", fleet_id="0", port=1)])
def test_a_launch_file_comes_back_as_it_was(spec: AgentSpec) -> None:
    assert decode_launch(encode_launch(spec)) == spec


def test_one_of_before_there_were_permissions_is_read() -> None:
    record = json.loads(encode_launch(FULL))
    del record["agent"]["permissions"], record["agent"]["notify"]
    read = decode_launch(json.dumps(record).encode())
    assert (read.permissions, read.notify) == (Permissions(), None)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused(version: object) -> None:
    record = {**json.loads(encode_launch(FULL)), "version": version}
    with pytest.raises(ValueError, match="this program reads 1"):
        decode_launch(json.dumps(record).encode())


@given(st.text(), st.text())
def test_what_is_offered_is_one_line_of_ascii(content: str, meta: str) -> None:
    for line in (encode_offer("e1", content, "u1"), encode_message({"method": meta, "content": content})):
        assert line.endswith(b"\n")
        assert b"\n" not in line[:-1]
        assert line.isascii()
    frame = json.loads(encode_offer("e1", content, "u1").removeprefix(b"Oe1 "))
    assert frame["message"]["content"] == content


@pytest.mark.parametrize(
    ("line", "answer"),
    [(b"Ae1 ", ("e1", "")), (b"Ae1 no such socket", ("e1", "no such socket")), (b"A\xff \xff", ("\ufffd", "\ufffd"))],
)
def test_the_shims_answer(line: bytes, answer: tuple[str, str]) -> None:
    assert decode_answer(line) == answer
