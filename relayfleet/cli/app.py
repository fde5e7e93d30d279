"""The Typer application, made from the table: help with examples, validation, completion."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from relayfleet import __version__
from relayfleet.cli.entry import INTERRUPTED, USAGE, run
from relayfleet.cli.output import emit, say
from relayfleet.cli.quick import Call, take_root
from relayfleet.cli.table import GROUPS, VERBS, Arg, Opt, Verb

_CONTEXT = {"help_option_names": ["--help", "-h"]}


def build() -> typer.Typer:
    """One command for each row of the table."""
    app = typer.Typer(
        name="fleet",
        help="A fleet of always-on Claude Code agents: one CLI, one GitHub watcher, deliveries with proof.",
        no_args_is_help=True,
        context_settings=_CONTEXT,
        pretty_exceptions_enable=False,
    )
    app.callback()(_globals)
    groups: dict[str, typer.Typer] = {"": app}
    for verb in VERBS:
        group, name = _place(verb)
        target = _group(group, groups)
        settings = _CONTEXT | ({"ignore_unknown_options": True} if verb.path == "tell" else {})
        epilog = "Examples:\n\n" + "\n\n".join(f"    {e}" for e in verb.examples) if verb.examples else None
        target.command(name=name, help=verb.help, epilog=epilog, hidden=verb.hidden, context_settings=settings)(
            _command(verb)
        )
    show = next(v for v in VERBS if v.path == "route show")
    groups["route"].callback(invoke_without_command=True)(_route_alone(show))
    return app


_PATHS = frozenset(verb.path for verb in VERBS)


def _place(verb: Verb) -> tuple[str, str]:
    """The group of a verb and its name there. A verb whose group is itself one that takes arguments (`inbox AGENT`,
    `inbox retry AGENT`) is one command with a blank in its name: Typer knows no group that takes arguments."""
    group, _, name = verb.path.rpartition(" ")
    return ("", verb.path) if group in _PATHS else (group, name)


def _words(argv: list[str]) -> list[str]:
    """`argv` as Typer understands it: two words of one command together, and an option that may do without a value
    with the one that it has then."""
    root, words = take_root(argv)
    verb = next((verb for verb in VERBS if words[: len(verb.path.split())] == verb.path.split()), None)
    if verb is None:
        return argv
    rest = words[len(verb.path.split()) :]
    bare = {o.flag: f"{o.flag}={o.bare}" for o in verb.params if isinstance(o, Opt) and o.bare is not None}
    end = rest.index("--") if "--" in rest else len(rest)
    rest = [bare.get(word, word) for word in rest[:end]] + rest[end:]
    named = [verb.path] if _place(verb)[0] == "" else verb.path.split()
    return [*(["--root", root] if root is not None else []), *named, *rest]


def _group(path: str, groups: dict[str, typer.Typer]) -> typer.Typer:
    """The application of a group of verbs, which may lie within another."""
    if path not in groups:
        above, _, name = path.rpartition(" ")
        groups[path] = typer.Typer(no_args_is_help=path != "route", context_settings=_CONTEXT)
        _group(above, groups).add_typer(groups[path], name=name, help=GROUPS.get(path, ""), hidden=path not in GROUPS)
    return groups[path]


def main(argv: list[str]) -> int:
    """Parses `argv` with all of Typer's checks. Raises FleetError from the verb itself."""
    command = typer.main.get_command(build())
    try:
        code = command.main(_words(argv), prog_name="fleet", standalone_mode=False)
    except SystemExit:  # Typer's answer to a reader that went away
        raise BrokenPipeError from None
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        raise KeyboardInterrupt from None
    except typer.TyperException as error:
        words = str(error.format_message()) if hasattr(error, "format_message") else str(error)
        context = getattr(error, "ctx", None)
        if not words:  # a group that was given no verb: its help is the answer
            emit(context.get_help() if context else "")
            return USAGE
        path = context.command_path if context else "fleet"
        say(f"fleet: cannot read the command line: {words}")
        say(f"hint: see `{path} --help`")
        return USAGE
    if code == INTERRUPTED:  # Typer's answer to Ctrl-C
        raise KeyboardInterrupt
    return int(code or 0)


def _print_version(wanted: bool) -> None:
    if wanted:
        emit(f"fleet {__version__}")
        raise typer.Exit


def _globals(
    ctx: typer.Context,
    root: Annotated[str | None, typer.Option("--root", help="The fleet's folder.", metavar="DIR")] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    ctx.obj = root


def _route_alone(show: Verb) -> Callable[..., Any]:
    def route(
        ctx: typer.Context,
        root: Annotated[str | None, typer.Option("--root", help="The fleet's folder.", metavar="DIR")] = None,
        json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> int | None:
        if ctx.invoked_subcommand is None:
            raise typer.Exit(run(Call(show, root=root or ctx.find_root().obj, json=json)))
        return None

    return route


def _command(verb: Verb) -> Callable[..., Any]:
    """A function with the signature that the row describes: Typer reads parameters from signatures."""
    parameters = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    parameters += [_parameter(p) for p in verb.params]
    parameters.append(_parameter(Opt(flag="--root", help="The fleet's folder.", type=str, metavar="DIR")))
    if verb.json:
        parameters.append(_parameter(Opt(flag="--json", help="Print JSON.")))

    def command(ctx: typer.Context, root: str | None, json: bool = False, **params: Any) -> int:
        clean = {k: tuple(v) if isinstance(v, list) else v for k, v in params.items()}
        for arg in verb.params:
            if isinstance(arg, Arg) and arg.many:
                clean[arg.name] = clean[arg.name] or ()
        code = run(Call(verb, clean, root=root or ctx.find_root().obj, json=json))
        if code:
            raise typer.Exit(code)
        return code

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _parameter(row: Arg | Opt) -> inspect.Parameter:
    info: Any
    annotation: Any
    default: Any
    if isinstance(row, Arg):
        info = typer.Argument(help=row.help, autocompletion=_agent_names if row.name in ("agent", "agents") else None)
        annotation = list[str] if row.many else (str if row.required else str | None)
        default = inspect.Parameter.empty if row.required else None
        if row.many and not row.required:
            annotation = list[str] | None
    else:
        flags = [row.flag] + ([row.short] if row.short else [])
        complete = _choices(row) if row.choices else None
        metavar = row.metavar or ("|".join(row.choices) if row.choices else None)
        callback = _one_of(row) if row.choices else None
        info = typer.Option(*flags, help=row.help, metavar=metavar, autocompletion=complete, callback=callback)
        annotation = row.type if row.type is bool or row.default is not None else row.type | None
        default = False if row.type is bool else row.default
    return inspect.Parameter(
        row.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, info]
    )


def _choices(row: Opt) -> Callable[[str], list[str]]:
    return lambda incomplete: [c for c in row.choices if c.startswith(incomplete)]


def _one_of(row: Opt) -> Callable[[str | None], str | None]:
    def check(value: str | None) -> str | None:
        if value is not None and value not in row.choices:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(row.choices)}")
        return value

    return check


def _agent_names(incomplete: str) -> list[str]:
    from relayfleet.errors import FleetError
    from relayfleet.model.layout import FleetLayout
    from relayfleet.store.root import find_root

    try:
        agents = FleetLayout(find_root(None, cwd=Path.cwd(), environ=dict(os.environ))).agents
        return sorted(p.parent.name for p in agents.glob("*/config.json") if p.parent.name.startswith(incomplete))
    except (FleetError, OSError):
        return []
