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
    """An option. A `bool` one is a flag; the others take a value, but for one with `bare`: it has that value when it
    is given without `=VALUE`."""

    flag: str
    help: str
    type: type = bool
    default: object = None
    short: str | None = None
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    bare: str | None = None

    @property
    def name(self) -> str:
        name = self.flag.lstrip("-").replace("-", "_")
        return "for_" if name == "for" else name  # a word of Python's


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
_IF_WANTED = Opt(flag="--if-wanted", help="End at once, without a word, when it is not to run, or runs already.")
_NO_WAIT = Opt(flag="--no-wait", help="Return at once instead of when the session is ready.")

GROUPS: dict[str, str] = {
    "service": "The fleet's supervisor as a service of this machine.",
    "router": "The one process that watches GitHub.",
    "router cursor": "What the router remembers.",
    "quarantine": "What is held back from agents.",
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
        help="What was observed of the supervisor, the router and every agent, and how old that is.",
        run="relayfleet.cli.status:run",
        params=(_AGENTS, Opt(flag="--watch", short="-w", help="Go on, and show what changes.")),
        examples=("fleet status", "fleet status wms-coder --json", "fleet status -w"),
        inside="anyone",
        quick=True,
    ),
    Verb(
        path="up",
        help="Bring up what is wanted, and keep it up: the supervisor, in the foreground. Ctrl-C ends it alone.",
        run="relayfleet.cli.up:run",
        params=(Opt(flag="--detach", short="-d", help="Return when it answers, and leave it running."),),
        examples=("fleet up", "fleet up -d"),
        inside="nobody",
    ),
    Verb(
        path="down",
        help="End the supervisor, the router and every agent. The next `fleet up` brings back what was wanted.",
        run="relayfleet.cli.down:run",
        examples=("fleet down",),
        inside="nobody",
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
        params=(
            _AGENTS,
            _ALL,
            _ROLE,
            _NO_WAIT,
            Opt(
                flag="--fresh", help="Begin a new conversation; the old one is archived, what waits in the inbox stays."
            ),
            Opt(flag="--outdated", help="Only idle agents whose runner is of another version than this program."),
        ),
        examples=("fleet restart wms-coder", "fleet restart --fresh wms-coder", "fleet restart --outdated"),
    ),
    Verb(
        path="attach",
        help="The live terminal of a session. You look on; with --drive you type. Ctrl-] detaches.",
        run="relayfleet.cli.attach:run",
        params=(
            Arg(name="agent", help="Name of the agent."),
            Opt(flag="--drive", help="Type into it. While you do, nothing is delivered to it."),
            Opt(flag="--take", help="With --drive: also when another drives; that one looks on from then on."),
        ),
        examples=("fleet attach wms-coder", "fleet attach wms-coder --drive"),
        json=False,
    ),
    Verb(
        path="screen",
        help="Print what a session's terminal shows, once; of a stopped one, the last screen.",
        run="relayfleet.cli.screen:run",
        params=(
            Arg(name="agent", help="Name of the agent."),
            Opt(flag="--ansi", help="With its colours."),
        ),
        examples=("fleet screen wms-coder", "fleet screen wms-coder --ansi", "fleet screen wms-coder --json"),
    ),
    Verb(
        path="interrupt",
        help="Stop the turn that an agent is at, as Esc does at its terminal. Its entry ends as failed: interrupted.",
        run="relayfleet.cli.interrupt:run",
        params=(
            Arg(name="agent", help="Name of the agent."),
            Opt(
                flag="--clear", help="Delete what a person typed and did not send, so that entries are delivered again."
            ),
        ),
        examples=("fleet interrupt wms-coder", "fleet interrupt wms-coder --clear"),
    ),
    Verb(
        path="tell",
        help="Put a message into the inbox of an agent (of several: a,b,c). `-` reads it from standard input.",
        run="relayfleet.cli.tell:run",
        params=(
            Arg(name="agent", help="Name of the agent, or several with commas between them."),
            Arg(name="message", help="The message; several words become one message.", many=True),
            Opt(
                flag="--wait",
                help="Return when the session has seen it; with =handled when its turn is over, with its last words.",
                type=str,
                choices=("seen", "handled"),
                bare="seen",
            ),
            Opt(flag="--timeout", help="Wait no longer than this.", type=float, metavar="SECONDS"),
            Opt(
                flag="--ttl",
                help="A dead letter unless it was seen within this (0: never).",
                type=float,
                metavar="SECONDS",
            ),
        ),
        examples=(
            "fleet tell wms-coder please rebase 41",
            "git log -3 | fleet tell wms-coder,wms-reviewer -",
            "fleet tell --wait=handled --timeout 600 wms-coder is main green?",
        ),
        inside="anyone",
        quick=True,
    ),
    Verb(
        path="inbox retry",
        help="Queue entries that have failed, are dead or were dropped once more, with fresh attempts.",
        run="relayfleet.cli.inbox_retry:run",
        params=(
            Arg(name="agent", help="Name of the agent."),
            Arg(name="entries", help="Ids of entries.", many=True, required=False),
            Opt(flag="--all-dead", help="Every dead letter of the agent."),
        ),
        examples=("fleet inbox retry wms-coder 3f2a9c0d1e4b5a68", "fleet inbox retry wms-coder --all-dead"),
        quick=True,
    ),
    Verb(
        path="inbox drop",
        help="Take entries that wait or are dead letters off the list: they are not offered (any more).",
        run="relayfleet.cli.inbox_drop:run",
        params=(
            Arg(name="agent", help="Name of the agent."),
            Arg(name="entries", help="Ids of entries.", many=True),
        ),
        examples=("fleet inbox drop wms-coder 3f2a9c0d1e4b5a68",),
        quick=True,
    ),
    Verb(
        path="wait",
        help="Wait until an agent is idle or stopped, or has seen or handled an entry. Exit code 1 when it never will.",
        run="relayfleet.cli.wait:run",
        params=(
            Arg(name="agent", help="Name of the agent."),
            Arg(name="entry", help="Id of the entry, with --for seen and --for handled.", required=False),
            Opt(
                flag="--for",
                help="What to wait for.",
                type=str,
                default="idle",
                choices=("idle", "stopped", "seen", "handled"),
            ),
            Opt(flag="--timeout", help="Wait no longer than this.", type=float, metavar="SECONDS"),
        ),
        examples=(
            "fleet wait wms-coder",
            "fleet wait wms-coder --for handled 3f2a9c0d1e4b5a68 --timeout 600",
            "fleet wait wms-coder --for stopped",
        ),
        quick=True,
    ),
    Verb(
        path="inbox",
        help="Entries of an agent's inbox with their receipts.",
        run="relayfleet.cli.inbox:run",
        params=(
            Arg(name="agent", help="Name of the agent."),
            Opt(flag="--limit", help="At most this many entries, the newest.", type=int, default=50, metavar="N"),
            Opt(flag="--all", help="Also those that have ended and were archived."),
        ),
        examples=("fleet inbox wms-coder", "fleet inbox wms-coder --all --limit 500 --json"),
        inside="own",
        quick=True,
    ),
    Verb(
        path="approvals",
        help="Tool calls and questions of sessions that wait for you, each with what led there.",
        run="relayfleet.cli.approvals:run",
        params=(Opt(flag="--watch", short="-w", help="Go on showing them as they come and go."),),
        examples=("fleet approvals", "fleet approvals --watch", "fleet approvals --json"),
    ),
    Verb(
        path="approve",
        help="Let a session do what it asks for, or answer its question. Who answers first has decided.",
        run="relayfleet.cli.approve:run",
        params=(
            Arg(name="id", help="Id of the approval."),
            Opt(flag="--always", help="Do not ask again for the like of it."),
            Opt(flag="--reason", help="Why; kept on record.", type=str, metavar="TEXT"),
            Opt(
                flag="--answer",
                help="The answer to a question: a choice, its number, or words; for several a JSON list.",
                type=str,
                metavar="TEXT",
            ),
        ),
        examples=("fleet approve 1f2e3d4c", "fleet approve 1f2e3d4c --always", "fleet approve 5a6b7c8d --answer Blue"),
        inside="nobody",
    ),
    Verb(
        path="deny",
        help="Refuse what a session asks for; it goes on without.",
        run="relayfleet.cli.deny:run",
        params=(
            Arg(name="id", help="Id of the approval."),
            Opt(flag="--always", help="Deny this very call from now on, without asking."),
            Opt(flag="--reason", help="Why; the model is told.", type=str, metavar="TEXT"),
        ),
        examples=('fleet deny 1f2e3d4c --reason "push to a branch instead"',),
        inside="nobody",
    ),
    Verb(
        path="logs",
        help="The end of a log: what the session showed, what its runner did, or what was said in its conversation.",
        run="relayfleet.cli.logs:run",
        params=(
            Arg(name="agent", help="Name of the agent, or `router`, or `supervisor`."),
            Opt(flag="--follow", short="-f", help="Go on printing what is added."),
            Opt(flag="--runner", help="The log of its runner instead of its session."),
            Opt(
                flag="--transcript",
                help="Its conversation: turns, tool calls, results. With --json, line by line as is.",
            ),
            Opt(flag="--session", help="With --transcript: a former conversation.", type=str, metavar="ID"),
            Opt(flag="--lines", short="-n", help="How many lines.", type=int, default=50, metavar="N"),
        ),
        examples=("fleet logs wms-coder", "fleet logs router -f", "fleet logs wms-coder --transcript -n 200"),
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
        params=(
            Opt(
                flag="--fix",
                help="End strays of this fleet, remove what killed processes left, close modes. For the operator.",
            ),
            Arg(name="agents", help="With --canary: only these.", many=True, required=False),
            Opt(flag="--canary", help="Prove delivery to each running agent, at the cost of one tiny turn each."),
            Opt(
                flag="--timeout",
                help="With --canary: wait no longer than this.",
                type=float,
                default=60.0,
                metavar="SECONDS",
            ),
        ),
        examples=("fleet doctor", "fleet doctor --json", "fleet doctor --fix", "fleet doctor --canary wms-coder"),
    ),
    Verb(
        path="service install",
        help="Have this machine start the fleet's supervisor at boot, and again when it dies.",
        run="relayfleet.cli.service:install",
        examples=("fleet service install",),
        inside="nobody",
    ),
    Verb(
        path="service uninstall",
        help="Take the service away. Agents that are running run on.",
        run="relayfleet.cli.service:uninstall",
        examples=("fleet service uninstall",),
        inside="nobody",
    ),
    Verb(
        path="service status",
        help="Whether it is installed, enabled and running, and what an install would write differently now.",
        run="relayfleet.cli.service:status",
        examples=("fleet service status", "fleet service status --json"),
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
        help="The plan: budgets, forecast, what each watch costs and when it is looked at next, and what goes wrong.",
        run="relayfleet.cli.router_status:run",
        params=(Opt(flag="--all", help="Every watch, however many there are."),),
        examples=("fleet router status", "fleet router status --json"),
    ),
    Verb(
        path="router log",
        help="Why items went where they went, or why not: what happened, to whom, by which route, held back from whom.",
        run="relayfleet.cli.router_log:run",
        params=(
            Arg(
                name="item",
                help="OWNER/NAME#NUMBER, OWNER/NAME, or the URL of an issue, pull request or run (default: all).",
                required=False,
            ),
            Opt(flag="--since", help="Only what happened in this time.", type=str, metavar="2h"),
            Opt(flag="--limit", help="At most this many, the newest.", type=int, default=20, metavar="N"),
        ),
        examples=("fleet router log", "fleet router log acme/WMS#41", "fleet router log acme/WMS --since 2h --json"),
    ),
    Verb(
        path="router replay",
        help="Deliver again, on purpose, what was delivered since then. Texts are kept for 7 days.",
        run="relayfleet.cli.router_replay:run",
        params=(
            Opt(flag="--since", help="From how long ago on. Required.", type=str, metavar="2h"),
            Opt(flag="--agent", help="Only what this agent got.", type=str, metavar="AGENT"),
            Opt(
                flag="--item", help="Only what is about this item or repository.", type=str, metavar="OWNER/NAME#NUMBER"
            ),
            Opt(flag="--dry-run", help="Only say what would be delivered."),
        ),
        examples=(
            "fleet router replay --since 2h --dry-run",
            "fleet router replay --since 1d --agent wms-coder --item acme/WMS#41",
        ),
    ),
    Verb(
        path="router cursor show",
        help="How far every watch and feed has been read, and how much is remembered.",
        run="relayfleet.cli.router_cursor:show",
        examples=("fleet router cursor show --json",),
    ),
    Verb(
        path="router cursor export",
        help="All that is remembered, as JSON on stdout; what is held back is in it, too.",
        run="relayfleet.cli.router_cursor:export",
        examples=("fleet router cursor export > cursor.json",),
        inside="nobody",
    ),
    Verb(
        path="router cursor forget",
        help="Have a watch begin anew, with a silent snapshot. Only while the router is stopped.",
        run="relayfleet.cli.router_cursor:forget",
        params=(Arg(name="watch", help="Name of the watch."),),
        examples=("fleet router cursor forget wms-assigned",),
    ),
    Verb(
        path="quarantine list",
        help="What is held back from agents: which item, by whom, from whom, why. None of its text.",
        run="relayfleet.cli.quarantine:show_all",
        params=(
            Opt(flag="--agent", help="Only what is held back from this agent.", type=str, metavar="AGENT"),
            Opt(flag="--repo", help="Only what is of this repository.", type=str, metavar="OWNER/NAME"),
            Opt(flag="--limit", help="At most this many, the newest.", type=int, default=100, metavar="N"),
        ),
        examples=("fleet quarantine list", "fleet quarantine list --agent wms-coder --json"),
        inside="nobody",
    ),
    Verb(
        path="quarantine show",
        help="One of them, with its text, marked as what it is: a stranger's.",
        run="relayfleet.cli.quarantine:show",
        params=(Arg(name="id", help="Its number."),),
        examples=("fleet quarantine show 12",),
        inside="nobody",
    ),
    Verb(
        path="quarantine release",
        help="Deliver what was held back, to the agents that it was held back from.",
        run="relayfleet.cli.quarantine:release",
        params=(
            Arg(name="ids", help="Numbers.", many=True, required=False),
            Opt(flag="--all", help="All that is held back."),
            Opt(flag="--yes", short="-y", help="Do not ask."),
        ),
        examples=("fleet quarantine release 12 13", "fleet quarantine release --all --yes"),
        inside="nobody",
    ),
    Verb(
        path="quarantine drop",
        help="Throw away what was held back.",
        run="relayfleet.cli.quarantine:drop",
        params=(
            Arg(name="ids", help="Numbers.", many=True, required=False),
            Opt(flag="--all", help="All that is held back."),
            Opt(flag="--yes", short="-y", help="Do not ask."),
        ),
        examples=("fleet quarantine drop 12", "fleet quarantine drop --all --yes"),
        inside="nobody",
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
        run="relayfleet.cli.route_explain:explain",
        params=(Arg(name="item", help="URL of an issue, pull request or run, or the path of a saved event."),),
        examples=("fleet route explain https://github.com/acme/WMS/issues/41", "fleet route explain event.json"),
    ),
    Verb(
        path="route reset",
        help="Let through again what agents answered each other on until the route was cut off: one route's, or all.",
        run="relayfleet.cli.route_reset:run",
        params=(Arg(name="index", help="Index of the route (default: all routes).", required=False),),
        examples=("fleet route reset", "fleet route reset 2"),
        inside="nobody",
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
        params=(Arg(name="name", help="Name of the agent."), _IF_WANTED),
        inside="nobody",
        quick=True,
        hidden=True,
        json=False,
    ),
    Verb(
        path="run router",
        help="The router, in the foreground. `fleet router start` does this for you.",
        run="relayfleet.cli.run:router",
        params=(_IF_WANTED,),
        inside="nobody",
        quick=True,
        hidden=True,
        json=False,
    ),
    Verb(
        path="run supervisor",
        help="The supervisor, without a word. `fleet up -d` does this for you.",
        run="relayfleet.cli.run:supervisor",
        inside="nobody",
        quick=True,
        hidden=True,
        json=False,
    ),
)
