"""The stand-in itself: its schema is a part of GitHub's, and its `gh` prints what the real one prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLUnionType,
    is_introspection_type,
    is_specified_scalar_type,
)

from relayfleet.demo.github.payload import read_payload
from relayfleet.demo.github.server import read_schema
from tests.standins.github import CHECKOUT, GitHubStandin, github_standin, official_schema

PRINTED_BY_GH = re.compile(rb"(?im)^(date|x-ratelimit-used|x-ratelimit-remaining): .*\r\n")


@pytest.fixture
def github() -> Iterator[GitHubStandin]:
    with github_standin(schema=read_schema(), strict=False) as standin:
        standin.play(read_payload("issues.opened"), at=1_700_000_000)
        yield standin


@pytest.mark.needs("github-schema")
def test_the_schema_that_ships_is_a_part_of_githubs() -> None:
    whole, part = official_schema().type_map, read_schema().type_map
    for name, mine in part.items():
        if is_introspection_type(mine) or is_specified_scalar_type(mine):
            continue
        theirs = whole[name]
        assert type(mine) is type(theirs), name
        if isinstance(mine, GraphQLEnumType):
            assert isinstance(theirs, GraphQLEnumType)
            assert set(mine.values) == set(theirs.values), name
        elif isinstance(mine, GraphQLUnionType):
            assert isinstance(theirs, GraphQLUnionType)
            assert {one.name for one in mine.types} <= {one.name for one in theirs.types}, name
        elif isinstance(mine, GraphQLInputObjectType):
            assert isinstance(theirs, GraphQLInputObjectType)
            assert {key: str(field.type) for key, field in mine.fields.items()} == {
                key: str(field.type) for key, field in theirs.fields.items()
            }
        elif isinstance(mine, GraphQLObjectType | GraphQLInterfaceType):
            assert isinstance(theirs, GraphQLObjectType | GraphQLInterfaceType)
            assert {one.name for one in mine.interfaces} <= {one.name for one in theirs.interfaces}, name
            for key, field in mine.fields.items():
                assert str(field.type) == str(theirs.fields[key].type), f"{name}.{key}"
                for argument, given in field.args.items():
                    assert str(given.type) == str(theirs.fields[key].args[argument].type), f"{name}.{key}({argument})"


QUERY = json.dumps({"query": 'query { viewer { login } a: repository(owner: "x", name: "y") { id } }'})
CALLS = {
    "graphql with one bad alias": (("api", "-i", "graphql", "--input", "-"), QUERY),
    "graphql that is refused": (("api", "-i", "graphql", "--input", "-"), json.dumps({"query": "{ nonsense }"})),
    "rest": (("api", "-i", "repos/Codertocat/Hello-World/issues"), ""),
    "a missing repository": (("api", "-i", "repos/acme/None"), ""),
    "a renamed repository": (("api", "-i", "repos/acme/old/actions/runs?per_page=30"), ""),
}


@pytest.mark.needs("gh")
@pytest.mark.parametrize("call", CALLS)
def test_the_gh_of_the_demonstration_prints_what_the_real_one_prints(github: GitHubStandin, call: str) -> None:
    github.do(lambda: github.state.add_repository("acme/old"))
    github.do(lambda: github.state.rename("acme/old", "acme/new"))
    args, sent = CALLS[call]
    real, ours = _both(github, args, sent)
    assert ours.stdout == real.stdout
    assert (ours.returncode, ours.stderr.splitlines()[:1]) == (real.returncode, real.stderr.splitlines()[:1])


@pytest.mark.needs("gh")
def test_a_304_is_printed_alike(github: GitHubStandin) -> None:
    first, _ = _both(github, ("api", "-i", "user"), "")
    etag = re.search(rb"(?i)^etag: (.*)\r\n", first.stdout, re.MULTILINE)
    assert etag is not None
    real, ours = _both(github, ("api", "-i", "-H", f"If-None-Match: {etag[1].decode()}", "user"), "")
    assert real.stdout.startswith(b"HTTP/1.1 304")
    assert (ours.stdout, ours.returncode) == (real.stdout, real.returncode)


@pytest.mark.needs("gh")
@pytest.mark.parametrize("fault", ["502html", "secondary403", "badjson", "401", "reset"])
def test_failures_are_printed_alike(github: GitHubStandin, fault: str) -> None:
    github.fault(fault, retry_after=3)
    real, ours = _both(github, ("api", "-i", "graphql", "--input", "-"), QUERY)
    assert (ours.stdout, ours.returncode) == (real.stdout, real.returncode)


@pytest.mark.needs("gh")
def test_without_a_token_both_end_with_4(github: GitHubStandin) -> None:
    del github.env["GH_TOKEN"]
    real, ours = _both(github, ("api", "-i", "user"), "")
    assert (ours.stdout, ours.returncode) == (real.stdout, real.returncode) == (b"", 4)


def _both(
    github: GitHubStandin, args: tuple[str, ...], sent: str
) -> tuple[subprocess.CompletedProcess[bytes], subprocess.CompletedProcess[bytes]]:
    done = []
    for command in (("gh",), (sys.executable, "-m", "relayfleet.demo.gh")):
        run = subprocess.run(
            (*command, *args), input=sent.encode(), env=github.env, cwd=CHECKOUT, capture_output=True, timeout=20
        )
        run.stdout = PRINTED_BY_GH.sub(b"", run.stdout)
        done.append(run)
    return done[0], done[1]
