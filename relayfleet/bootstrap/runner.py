"""A runner, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relayfleet.bootstrap.daemons import on_end, other_daemons, record_failure, take
from relayfleet.bootstrap.programs import fleet_bin, plugin_folders
from relayfleet.errors import FleetError

if TYPE_CHECKING:
    from relayfleet.backends.notify import CommandNotifier
    from relayfleet.model.layout import AgentLayout, FleetLayout
    from relayfleet.model.notice import Notify
    from relayfleet.ports.log import Log

# A command of the user's that takes longer goes on without the daemon that began it.
_TELL_WITHIN_S = 5.0
# How often an idle session is looked at where every change of its registry is told of; and where it is not, because the
# first 120 agents or so use up the user's inotify instances: hooks and wake datagrams tell most of it even then.
_WATCHED_LOOK_S, _UNWATCHED_LOOK_S = 10.0, 8.0


async def run_agent(layout: FleetLayout, name: str, *, if_wanted: bool = False) -> None:
    """The runner of one agent, until it is told to stop. With `if_wanted` it ends at once, without a word, when the
    agent is not to run or has a runner. Raises FleetError when its session cannot be brought up."""
    from relayfleet.backends.processes import hide_from_other_processes
    from relayfleet.store.lock import FileLock
    from relayfleet.store.log import open_log

    hide_from_other_processes()
    agent = layout.agent(name)
    lock = FileLock(agent.runner_lock)
    if not take(lock, layout, agent.intent, if_wanted=if_wanted):
        return
    log = open_log(agent.runner_log)
    try:
        await _run_agent(layout, agent, log)
    except ImportError as error:
        missing = FleetError(
            f"run agent {name!r}",
            str(error),
            hint='install what a runner needs: pip install "relayfleet[runner]"',
            fault="program_missing",
        )
        record_failure(agent.failure, log, missing)
        _tell_of_death(layout, agent, log)
        raise missing from error
    except Exception as error:
        record_failure(agent.failure, log, error)
        _tell_of_death(layout, agent, log)
        raise
    finally:
        log.close()
        lock.release()


async def _run_agent(layout: FleetLayout, agent: AgentLayout, log: Log) -> None:
    import os
    import time

    from relayfleet.backends.processes import session_tree
    from relayfleet.harness.claude import ClaudeHarness, operator_environment
    from relayfleet.harness.screen import SessionLog
    from relayfleet.harness.terminal import terminals
    from relayfleet.plughost.host import PluginHost
    from relayfleet.ports.notifier import NullNotifier
    from relayfleet.ports.session import Wiring
    from relayfleet.runner.daemon import Runner
    from relayfleet.runner.dead_letters import ToldReceipts
    from relayfleet.runner.hooks import HookListener
    from relayfleet.runner.shim_link import ShimLink
    from relayfleet.store.approvals import FileRulings, JsonRememberedRules
    from relayfleet.store.bodies import FileBodies
    from relayfleet.store.file_watch import FileWatch
    from relayfleet.store.files import make_private_folder
    from relayfleet.store.inbox import FileInbox
    from relayfleet.store.last_words import FileLastWords
    from relayfleet.store.receipts import FileReceipts
    from relayfleet.store.session import JsonSessionFile
    from relayfleet.store.sockets import make_sockets
    from relayfleet.store.upkeep import FileUpkeep
    from relayfleet.store.writings import FileWritings
    from relayfleet.wire.launch import decode_launch
    from relayfleet.wire.server import ControlServer, WakeSocket, with_token

    spec = decode_launch(agent.launch.read_bytes())
    sockets = make_sockets(spec.fleet_id)
    wiring = Wiring(
        hook_url=f"http://127.0.0.1:{spec.port}/hooks",
        hook_token=os.urandom(32).hex(),
        shim_socket=sockets.control(agent.name),
        shim_token=os.urandom(32).hex(),
    )
    notifier = _notifier(spec.notify, layout, spec.fleet, log) or NullNotifier()
    tree = session_tree(
        spec.fleet_id,
        agent.name,
        spare=lambda: {*other_daemons(layout), *notifier.pids},
    )
    harness = ClaudeHarness(spec, agent, root=layout.root, operator=operator_environment(), fleet_bin=fleet_bin())
    tools = PluginHost(
        spec, agent, folders=plugin_folders(layout), inbox=FileInbox(agent.inbox), log=log, now=time.time
    )
    headless = None
    if spec.session.mode == "headless":
        from relayfleet.harness.headless import HeadlessTerminals

        headless = HeadlessTerminals(tree.enter)
    runner = Runner(
        spec=spec,
        inbox=FileInbox(agent.inbox),
        receipts=ToldReceipts(FileReceipts(agent.receipts), notifier, agent=agent.name),
        upkeep=FileUpkeep(agent.inbox, agent.receipts),
        harness=harness,
        wiring=wiring,
        terminals=headless or terminals(tree.enter),
        tree=tree,
        session_file=JsonSessionFile(agent.session),
        bodies=FileBodies(agent.bodies),
        words=FileLastWords(agent.words),
        screen=SessionLog(agent.session_log),
        writings=FileWritings(agent.authored),
        rulings=FileRulings(agent.approvals),
        remembered=JsonRememberedRules(agent.permissions),
        notifier=notifier,
        log=log,
        clock=time.time,
    )
    link = ShimLink(
        tools=tools,
        log=log,
        on_link=runner.on_link,
        on_offered=runner.on_offered,
        on_permission=runner.on_permission,
    )
    if headless is None:
        runner.join(link)
    else:
        headless.on_said = runner.join_stream(headless.say)
    hooks = HookListener(port=spec.port, token=wiring.hook_token, on_hook=runner.on_hook)
    control = ControlServer(
        sockets.control(agent.name),
        answer=runner.on_request,
        lines={"shim": with_token(wiring.shim_token, link.serve), "attach": runner.viewers.serve},
    )
    wake = WakeSocket(sockets.wake(agent.name), runner.on_wake)
    agent.inbox.touch(mode=0o600)
    make_private_folder(harness.registry)
    changes = FileWatch(agent.inbox, runner.on_wake, folder=harness.registry)
    on_end(runner.stop)
    await control.open()
    wake.open()
    runner.idle_look_s = _WATCHED_LOOK_S if changes.open() else _UNWATCHED_LOOK_S
    try:
        await hooks.open()
        await tools.load()
        log.info("runner.up")
        await runner.run()
    finally:
        await tools.close()
        hooks.close()
        changes.close()
        wake.close()
        control.close()
        tree.close()


def _notifier(notify: Notify | None, layout: FleetLayout, fleet: str, log: Log) -> CommandNotifier | None:
    """What runs the user's command; None for who has none."""
    if notify is None:
        return None
    from relayfleet.backends.notify import CommandNotifier
    from relayfleet.harness.claude import operator_environment

    return CommandNotifier(notify, fleet=fleet, root=layout.root, env=operator_environment(), log=log)


def _tell_of_death(layout: FleetLayout, agent: AgentLayout, log: Log) -> None:
    """A runner gave up, and why is on record."""
    import time

    from relayfleet.model.notice import Notice
    from relayfleet.store.failure import read_failure
    from relayfleet.wire.launch import decode_launch

    try:
        spec = decode_launch(agent.launch.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return  # whom to tell is not known either
    notifier = _notifier(spec.notify, layout, spec.fleet, log)
    if notifier is not None:
        failure = read_failure(agent.failure)
        more = {key: str(failure.get(key, "")) for key in ("reason", "hint")}
        detail = str(failure.get("error", ""))
        notifier.notify(Notice(event="agent_died", ts=time.time(), agent=agent.name, detail=detail, more=more))
        notifier.wait(_TELL_WITHIN_S)
