"""Every verb of the CLI, described once.

`app.py` builds the Typer application (help, completion, validation) from this table; `quick.py` parses the verbs that
must start in milliseconds from the same rows; the reference in `docs/cli.md` is generated from it, too. Standard
library only: this is imported by the quickest path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Who may use a verb from inside an agent: everybody, everybody about itself, only the orchestrator, or no agent at all
# (what widens trust or spending). From outside, everything is the operator's.
Inside = Literal["anyone", "own", "orchestrator", "nobody"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg:
    """A positional argument. `many` takes all that follow and gives a tuple."""

    name: str
    help: str
    many: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Opt:
    """An option. A `bool` one is a flag; the others take a value; `many` may be given again and gives a tuple."""

    flag: str
    help: str
    type: type = bool
    default: object = None
    short: str | None = None
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    many: bool = False

    @property
    def name(self) -> str:
        return self.flag.lstrip("-").replace("-", "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One command. `run` is "module:function"; the function takes the context and every parameter by its name."""

    path: str
    help: str
    run: str
    params: tuple[Arg | Opt, ...] = ()
    examples: tuple[str, ...] = ()
    inside: Inside = "orchestrator"
    quick: bool = False
    hidden: bool = False
    json: bool = True


ROLE_CHOICES = ("base", "coder", "reviewer", "manager", "orchestrator")
_AGENTS = Arg(name="agents", help="Names of agents.", many=True, required=False)
_ALL = Opt(flag="--all", help="Every agent of the fleet.")
_ROLE = Opt(flag="--role", help="Every agent of this role.", type=str, metavar="ROLE")
_NO_WAIT = Opt(flag="--no-wait", help="Return at once instead of when the session is ready.")

GROUPS: dict[str, str] = {
    "router": "The one process that watches GitHub.",
    "route": "The gate: which events reach which agents.",
    "host": "Hosts that agents can be placed on.",
}

VERBS: tuple[Verb, ...] = (
    Verb(
        path="init",
        help="Create fleet.json, routes.json and agents/ in the fleet's root.",
        run="relayfleet.cli.init:run",
        params=(Opt(flag="--name", help="Name of the fleet (default: the folder's name).", type=str, metavar="N"),),
        examples=("fleet init --name my-fleet",),
        inside="nobody",
    ),
    Verb(
        path="new-agent",
        help="Scaffold a config-only agent: next free port, persona of its role, starter watch and route.",
        run="relayfleet.cli.new_agent:run",
        params=(
            Arg(name="name", help="Name of the agent."),
            Opt(flag="--role", help="Its role.", type=str, default="base", choices=ROLE_CHOICES),
            Opt(flag="--repo", help="The GitHub repository that it works on.", type=str, metavar="OWNER/NAME"),
            Opt(flag="--model", help="The model of its session.", type=str, metavar="M"),
            Opt(flag="--no-route", help="Add no starter watch and route."),
            Opt(flag="--no-remote", help="Do not offer the session to Claude's remote control."),
            Opt(flag="--force", help="Write the files of an agent that is there already anew."),
            Opt(
                flag="--backend",
                help="Where its runner lives.",
                type=str,
                choices=("local", "docker", "ssh"),
            ),
            Opt(flag="--host", help="A host of the registry, for the ssh backend.", type=str, metavar="H"),
            Opt(
                flag="--inbox-transport",
                help="How entries reach its inbox.",
                type=str,
                choices=("file", "shared", "ssh", "http"),
            ),
            Opt(
                flag="--endpoint",
                help="Where its model traffic goes.",
                type=str,
                choices=("default", "custom", "gateway"),
            ),
            Opt(flag="--endpoint-url", help="The URL of a custom endpoint.", type=str, metavar="URL"),
            Opt(flag="--via-gateway", help="Send a custom endpoint through the fleet's gateway, too."),
        ),
        examples=(
            "fleet new-agent wms-coder --role coder --repo acme/WMS",
            "fleet new-agent local-coder --role coder --endpoint custom --endpoint-url http://127.0.0.1:11434",
        ),
    ),
    Verb(
        path="remove-agent",
        help="Take an agent out: its folder goes to archive/, its routes go out of routes.json.",
        run="relayfleet.cli.remove_agent:run",
        params=(
            Arg(name="name", help="Name of the agent."),
            Opt(flag="--yes", short="-y", help="Do not ask."),
        ),
        examples=("fleet remove-agent wms-coder --yes",),
    ),
    Verb(
        path="list",
        help="Agents with role, backend, port, model, repository.",
        run="relayfleet.cli.list:run",
        examples=("fleet list", "fleet list --json"),
        inside="anyone",
        quick=True,
    ),
    Verb(
        path="status",
        help="What was observed of the router and of every agent, and how old that is.",
        run="relayfleet.cli.status:run",
        params=(_AGENTS,),
        examples=("fleet status", "fleet status wms-coder --json"),
        inside="anyone",
        quick=True,
    ),
    Verb(
        path="start",
        help="Start agents; returns when their sessions are ready.",
        run="relayfleet.cli.start:run",
        params=(_AGENTS, _ALL, _ROLE, _NO_WAIT),
        examples=("fleet start wms-coder", "fleet start --all", "fleet start --role reviewer --no-wait"),
    ),
    Verb(
        path="stop",
        help="Stop agents and everything that their sessions started. They stay stopped.",
        run="relayfleet.cli.stop:run",
        params=(_AGENTS, _ALL, _ROLE),
        examples=("fleet stop wms-coder", "fleet stop --all"),
    ),
    Verb(
        path="restart",
        help="Stop agents, read their configuration anew, start them with their history.",
        run="relayfleet.cli.restart:run",
        params=(_AGENTS, _ALL, _ROLE, _NO_WAIT),
        examples=("fleet restart wms-coder",),
    ),
    Verb(
        path="interrupt",
        help="Stop the turn that an agent is at, as Esc does at its terminal. Its entry ends as failed: interrupted.",
        run="relayfleet.cli.interrupt:run",
        params=(Arg(name="agent", help="Name of the agent."),),
        examples=("fleet interrupt wms-coder",),
    ),
    Verb(
        path="tell",
        help="Put a message into the inbox of an agent (of several: a,b,c). `-` reads it from standard input.",
        run="relayfleet.cli.tell:run",
        params=(
            Arg(name="agent", help="Name of the agent, or several with commas between them."),
            Arg(name="message", help="The message; several words become one message.", many=True),
        ),
        examples=("fleet tell wms-coder please rebase 41", "git log -3 | fleet tell wms-coder,wms-reviewer -"),
        inside="anyone",
        quick=True,
    ),
    Verb(
        path="inbox",
        help="Entries of an agent's inbox with their receipts.",
        run="relayfleet.cli.inbox:run",
        params=(
            Arg(name="agent", help="Name of the agent."),
            Opt(flag="--limit", help="At most this many entries, the newest.", type=int, default=50, metavar="N"),
        ),
        examples=("fleet inbox wms-coder", "fleet inbox wms-coder --json"),
        inside="own",
        quick=True,
    ),
    Verb(
        path="logs",
        help="The tail of an agent's session log.",
        run="relayfleet.cli.logs:run",
        params=(
            Arg(name="agent", help="Name of the agent, or `router`."),
            Opt(flag="--follow", short="-f", help="Go on printing what is added."),
            Opt(flag="--runner", help="The log of its runner instead of its session."),
            Opt(flag="--lines", short="-n", help="How many lines.", type=int, default=50, metavar="N"),
        ),
        examples=("fleet logs wms-coder", "fleet logs router -f"),
        json=False,
    ),
    Verb(
        path="login",
        help="Run the login of `claude` itself in the isolated configuration of an agent.",
        run="relayfleet.cli.login:run",
        params=(Arg(name="agent", help="Name of the agent."),),
        examples=("fleet login wms-coder",),
        inside="nobody",
        json=False,
    ),
    Verb(
        path="doctor",
        help="Check programs, configuration, ports, routes, files; every finding says what to do.",
        run="relayfleet.cli.doctor:run",
        examples=("fleet doctor", "fleet doctor --json"),
    ),
    Verb(
        path="router start",
        help="Start the watcher.",
        run="relayfleet.cli.router:start",
        params=(_NO_WAIT,),
        examples=("fleet router start",),
    ),
    Verb(
        path="router stop", help="Stop the watcher.", run="relayfleet.cli.router:stop", examples=("fleet router stop",)
    ),
    Verb(
        path="router restart",
        help="Stop the watcher and start it with the configuration read anew.",
        run="relayfleet.cli.router:restart",
        params=(_NO_WAIT,),
        examples=("fleet router restart",),
    ),
    Verb(
        path="router status",
        help="Each watch: last poll, next poll, items, last error; and the budget left.",
        run="relayfleet.cli.router:status",
        examples=("fleet router status --json",),
    ),
    Verb(
        path="route show",
        help="Print and validate every watch and route. `fleet route` alone does the same.",
        run="relayfleet.cli.route:show",
        examples=("fleet route", "fleet route show --json"),
    ),
    Verb(
        path="route explain",
        help="Who would get an item, by which route, and for every other route which key failed.",
        run="relayfleet.cli.route:explain",
        params=(Arg(name="item", help="URL of an issue, pull request or run, or the path of a saved event."),),
        examples=("fleet route explain https://github.com/acme/WMS/issues/41", "fleet route explain event.json"),
    ),
    Verb(
        path="host add",
        help="Add a host to the registry in fleet.json.",
        run="relayfleet.cli.host:add",
        params=(
            Arg(name="name", help="Name of the host."),
            Opt(flag="--backend", help="How it is reached.", type=str, default="ssh", choices=("ssh", "docker")),
            Opt(flag="--host", help="The ssh destination.", type=str, metavar="USER@HOST"),
            Opt(flag="--workdir", help="The fleet's folder there.", type=str, metavar="DIR"),
            Opt(flag="--os", help="Its operating system.", type=str, default="linux", choices=("linux", "windows")),
        ),
        examples=("fleet host add test-vm --backend ssh --host you@10.0.0.5 --workdir /srv/fleet --os linux",),
        inside="nobody",
    ),
    Verb(
        path="schema",
        help="JSON Schemas of the configuration files, for editors.",
        run="relayfleet.cli.schema:run",
        params=(
            Arg(name="file", help="fleet, routes or agent (default: all of them).", required=False),
            Opt(flag="--write", help="Write them to schemas/ in the fleet's root."),
        ),
        examples=("fleet schema routes", "fleet schema --write"),
        inside="anyone",
    ),
    Verb(
        path="demo",
        help="Run the main job on embedded parts, in a folder of its own, and report each step with its latency.",
        run="relayfleet.cli.demo:run",
        params=(
            Opt(flag="--keep", help="Leave the demonstration fleet standing."),
            Opt(flag="--real", help="Use this machine's `gh` and `claude`."),
            Opt(flag="--repo", help="With --real: the repository to watch.", type=str, metavar="OWNER/NAME"),
        ),
        examples=("fleet demo", "fleet demo --keep"),
        inside="nobody",
    ),
    Verb(
        path="run agent",
        help="The runner of one agent, in the foreground. `fleet start` does this for you.",
        run="relayfleet.cli.run:agent",
        params=(Arg(name="name", help="Name of the agent."),),
        inside="nobody",
        quick=True,
        hidden=True,
        json=False,
    ),
    Verb(
        path="run router",
        help="The router, in the foreground. `fleet router start` does this for you.",
        run="relayfleet.cli.run:router",
        inside="nobody",
        quick=True,
        hidden=True,
        json=False,
    ),
)
