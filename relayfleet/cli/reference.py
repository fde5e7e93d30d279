"""The reference in docs/: docs/cli.md from the table of verbs, docs/config.md from the configuration models.

`python -m relayfleet.cli.reference` writes both, `--check` says whether they are current (exit code 1 when not).
"""

from __future__ import annotations

import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from relayfleet.cli.output import emit, say
from relayfleet.cli.table import GROUPS, VERBS, Arg, Inside, Opt, Verb
from relayfleet.config.schema import SchemaName, schema_of

_HEAD = "<!-- Written by `python -m relayfleet.cli.reference`; edit {source} instead. -->\n"
_INSIDE: dict[Inside, str] = {
    "anyone": "every agent",
    "own": "every agent about itself, the orchestrator about all",
    "orchestrator": "the orchestrator",
    "nobody": "no agent",
}
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object",
    "array": "list",
    "null": "null",
}
_SETTINGS = "Settings"


# ---------------------------------------------------------------------------------------------------------- the verbs


def cli_reference(verbs: Sequence[Verb], groups: Mapping[str, str], shape_of: Callable[[Verb], str]) -> str:
    """Markdown of every verb that is not hidden. `shape_of` gives what a verb says of its --json."""
    shown = [verb for verb in verbs if not verb.hidden]
    parts = [
        _HEAD.format(source="relayfleet/cli/table.py"),
        "# The command line\n",
        "Every verb also takes `--root DIR` (the fleet's folder) and `--help`; those with a JSON shape take `--json`.",
        "What the fields of the JSON mean is in [json.md](json.md). Data goes to stdout, talk to stderr; no colour",
        "where stdout is no terminal or `NO_COLOR` is set.\n",
        "| exit code | meaning |\n|---|---|",
        "| 0 | done; starting what runs and stopping what is stopped are done, too |",
        "| 1 | a known failure: `cannot <verb> <object>: <reason>` and a hint on stderr |",
        "| 2 | the command line is wrong |",
        "| 3 | a bug; the trace is in the file that is named |",
        "| 130 | interrupted |\n",
        "| verb | what it does |\n|---|---|",
        *(f"| [`fleet {verb.path}`](#{_anchor(verb)}) | {_cell(verb.help)} |" for verb in shown),
        "",
    ]
    seen: set[str] = set()
    for verb in shown:
        group = verb.path.rpartition(" ")[0]
        if group in groups and group not in seen:
            seen.add(group)
            parts.append(f"---\n\n`fleet {group}`: {groups[group]}\n")
        parts.append(_verb(verb, shape_of(verb)))
    return "\n".join(parts)


def _anchor(verb: Verb) -> str:
    return "fleet-" + verb.path.replace(" ", "-")


def _verb(verb: Verb, shape: str) -> str:
    usage = " ".join(["fleet", verb.path, *(_usage(p) for p in verb.params if isinstance(p, Arg))])
    options = [p for p in verb.params if isinstance(p, Opt)]
    lines = [f"## fleet {verb.path}\n", f"{verb.help}\n", "```text", usage + (" [OPTIONS]" if options else ""), "```\n"]
    if verb.params:
        lines += ["| parameter | meaning |", "|---|---|", *(_row(p) for p in verb.params), ""]
    lines.append(f"From inside an agent: {_INSIDE[verb.inside]}.\n")
    if shape:
        lines += ["```text", textwrap.fill(shape, 110, break_long_words=False, break_on_hyphens=False), "```\n"]
    if verb.examples:
        lines += ["```sh", *verb.examples, "```\n"]
    return "\n".join(lines)


def _usage(arg: Arg) -> str:
    word = arg.name.upper() + ("..." if arg.many else "")
    return word if arg.required else f"[{word}]"


def _row(param: Arg | Opt) -> str:
    if isinstance(param, Arg):
        return f"| `{param.name.upper()}` | {_cell(param.help)} |"
    value = "" if param.type is bool else " " + (param.metavar or "|".join(param.choices) or "VALUE")
    flags = ", ".join(f"`{flag}{_cell(value)}`" for flag in (param.short, param.flag) if flag)
    default = f" Default: `{param.default}`." if param.default is not None else ""
    return f"| {flags} | {_cell(param.help)}{default} |"


def _cell(text: str) -> str:
    """A `|` would end the cell of a table."""
    return text.replace("|", "\\|")


def shape_in(docstring: str) -> str:
    """What a verb's docstring says of its --json, on one line; empty when it says nothing. What it raises is for us."""
    start = docstring.find("--json")
    said = docstring[start:].partition("\n\n")[0].partition("Raises ")[0] if start >= 0 else ""
    return " ".join(said.split())


def shape_of_verb(verb: Verb) -> str:
    module, _, function = verb.run.partition(":")
    if not verb.json:
        return ""
    return shape_in(inspect.getdoc(getattr(importlib.import_module(module), function)) or "")


# --------------------------------------------------------------------------------------------------- the configuration


def config_reference(schemas: Mapping[SchemaName, Mapping[str, Any]]) -> str:
    """Markdown of every key of fleet.json, agents/<name>/config.json and routes.json, from their JSON Schemas."""
    agent = schemas["agent"]
    settings = schemas["fleet"]["$defs"][_SETTINGS]
    own = {key: value for key, value in agent["properties"].items() if key not in settings["properties"]}
    return "\n".join(
        [
            _HEAD.format(source="relayfleet/config/"),
            "# The configuration\n",
            "Three kinds of files, all JSON in UTF-8, at most 1 MiB each. Unknown keys are refused, and every fault of",
            "every file is reported at once as `file: json.path: what is wrong`. Times are seconds.",
            "`fleet schema --write` writes JSON Schemas that an editor can check against.\n",
            "**Precedence**, lowest first: built-in defaults, `defaults` in fleet.json, `roles.<role>` in fleet.json,",
            "the agent's own config.json. Objects are merged key by key; everything else is replaced as a whole, one",
            "credential and one MCP server as well. `null` takes away what a lower layer said.\n",
            "## Settings\n",
            "These keys stand in agents/&lt;name&gt;/config.json, in `defaults` and in `roles.<role>`.\n",
            *_table(settings, schemas["fleet"]),
            "",
            "## agents/&lt;name&gt;/config.json\n",
            "The settings above, and:\n",
            *_table({"properties": own, "required": agent.get("required", [])}, agent),
            "",
            "## fleet.json\n",
            *_table(schemas["fleet"], schemas["fleet"]),
            "",
            "## routes.json\n",
            "What filters and matches mean is in [routes.md](routes.md), and trust in [trust.md](trust.md).\n",
            *_table(schemas["routes"], schemas["routes"]),
            "",
        ]
    )


def _table(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[str]:
    yield "| key | value | meaning |"
    yield "|---|---|---|"
    yield from _rows(schema, root, "")


def _rows(schema: Mapping[str, Any], root: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, given in schema["properties"].items():
        path = prefix + key
        meaning = _cell(str(given.get("description", "")))
        if key in schema.get("required", ()):
            meaning += " Required."
        default = given.get("default")
        if isinstance(default, str | int | float) and default != "" and "default" not in meaning:
            meaning += f" Default: `{str(default).lower() if isinstance(default, bool) else default}`."
        plain = _plain(given, root)
        if plain.get("title") == _SETTINGS:
            yield f"| `{path}` | settings | {meaning} |"
            continue
        yield f"| `{path}` | {_type(plain, root)} | {meaning} |"
        for below, inner in _inside(path, plain, root):
            # What takes the keys of the object that it stands in says so itself.
            if not inner["properties"].keys() <= schema["properties"].keys():
                yield from _rows(inner, root, below)


def _inside(path: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects with fixed keys directly below `path`."""
    if "properties" in schema:
        yield f"{path}.", schema
    named, listed = schema.get("additionalProperties"), schema.get("items")
    for below, given in ((f"{path}.<name>.", named), (f"{path}[].", listed)):
        inner = _plain(given, root) if isinstance(given, Mapping) else {}
        if "properties" in inner and inner.get("title") != _SETTINGS:
            yield below, inner


def _plain(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema without its reference and without `or null`."""
    if "$ref" in schema:
        return _plain(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    choices = [c for c in schema.get("anyOf", ()) if c.get("type") != "null"]
    return _plain(choices[0], root) if len(choices) == 1 else schema


def _type(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    schema = _plain(schema, root)
    if "anyOf" in schema:
        first, *others = (choice for choice in schema["anyOf"] if choice.get("type") != "null")
        if "enum" in first and [choice.get("items") for choice in others] == [first]:
            return f"{_type(first, root)}; or a list of them"
        return " or ".join(dict.fromkeys(_type(c, root) for c in schema["anyOf"] if c.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'], root)}"
    named = schema.get("additionalProperties")
    if isinstance(named, Mapping):
        inner = _plain(named, root)
        return f"object of {'settings' if inner.get('title') == _SETTINGS else _type(inner, root)} by name"
    words = _TYPES[str(schema.get("type"))]
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is None or high is None:
        return words
    return f"{words}, {low:g}" if low == high else f"{words}, {low:.0f} to {high:.0f}"


# --------------------------------------------------------------------------------------------------------- the program


def pages() -> dict[str, str]:
    """The generated pages by their path below the checkout."""
    schemas: dict[SchemaName, Mapping[str, Any]] = {name: schema_of(name) for name in ("fleet", "routes", "agent")}
    return {
        "docs/cli.md": cli_reference(VERBS, GROUPS, shape_of_verb),
        "docs/config.md": config_reference(schemas),
    }


def stale_pages(checkout: Path) -> list[str]:
    """The paths whose file is not what would be written."""
    return [
        path
        for path, text in pages().items()
        if not (checkout / path).is_file() or (checkout / path).read_text(encoding="utf-8") != text
    ]


def main(argv: Sequence[str]) -> int:
    from relayfleet.store.root import CHECKOUT

    if list(argv) not in ([], ["--check"]):
        say("usage: python -m relayfleet.cli.reference [--check]")
        return 2
    stale = stale_pages(CHECKOUT)
    if argv:
        for path in stale:
            say(f"{path} is not current: run `python -m relayfleet.cli.reference`")
        return 1 if stale else 0
    written = pages()
    for path in stale:
        (CHECKOUT / path).parent.mkdir(exist_ok=True)
        (CHECKOUT / path).write_text(written[path], encoding="utf-8")
        emit(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
