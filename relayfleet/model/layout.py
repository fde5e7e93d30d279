"""Where everything of a fleet lies. Pure paths: nothing here touches the disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from relayfleet.model.names import AgentName


@dataclass(frozen=True, slots=True)
class AgentLayout:
    """The folder of one agent. The session works in `work` and is told to write nowhere else."""

    dir: Path

    @property
    def name(self) -> AgentName:
        return AgentName(self.dir.name)

    @property
    def config(self) -> Path:
        return self.dir / "config.json"

    @property
    def persona(self) -> Path:
        return self.dir / "CLAUDE.md"

    @property
    def work(self) -> Path:
        return self.dir / "work"

    @property
    def state(self) -> Path:
        return self.dir / "state"

    @property
    def inbox(self) -> Path:
        return self.state / "inbox.jsonl"

    @property
    def receipts(self) -> Path:
        return self.state / "receipts.jsonl"

    @property
    def authored(self) -> Path:
        """What the agent itself wrote on GitHub."""
        return self.state / "authored.jsonl"

    @property
    def approvals(self) -> Path:
        """What became of each approval."""
        return self.state / "approvals.jsonl"

    @property
    def permissions(self) -> Path:
        """The answers of `fleet approve --always`."""
        return self.state / "permissions.json"

    @property
    def words(self) -> Path:
        """What the session said at the end of each entry's turn."""
        return self.state / "words.jsonl"

    @property
    def bodies(self) -> Path:
        """Full texts of entries that were too long for a turn, one file per entry id."""
        return self.state / "bodies"

    @property
    def session(self) -> Path:
        return self.state / "session.json"

    @property
    def intent(self) -> Path:
        """What the operator wants of this agent: {"version": 1, "wanted": "running" | "stopped"}."""
        return self.state / "intent.json"

    @property
    def launch(self) -> Path:
        """The resolved configuration that the runner was last started with (no secret in it)."""
        return self.state / "launch.json"

    @property
    def runner_lock(self) -> Path:
        return self.state / "runner.lock"

    @property
    def runner_log(self) -> Path:
        return self.state / "runner.log"

    @property
    def session_log(self) -> Path:
        return self.state / "session.log"

    @property
    def claude_config(self) -> Path:
        """The isolated CLAUDE_CONFIG_DIR."""
        return self.state / "claude"

    @property
    def failure(self) -> Path:
        """Why the last runner gave up: {"version": 1, "ts", "error", "hint", "reason"}, `reason` as `model/fault.py`
        names it; not there while all is well."""
        return self.state / "failure.json"


@dataclass(frozen=True, slots=True)
class FleetLayout:
    """The folder of a fleet (its root)."""

    root: Path

    @property
    def fleet_json(self) -> Path:
        return self.root / "fleet.json"

    @property
    def routes_json(self) -> Path:
        return self.root / "routes.json"

    @property
    def agents(self) -> Path:
        return self.root / "agents"

    @property
    def plugins(self) -> Path:
        return self.root / "plugins"

    @property
    def archive(self) -> Path:
        """Where `fleet remove-agent` keeps what it took out."""
        return self.root / "archive"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def config_lock(self) -> Path:
        """Held while fleet.json or routes.json is changed."""
        return self.state / "config.lock"

    @property
    def router_db(self) -> Path:
        return self.state / "router.db"

    @property
    def router_lock(self) -> Path:
        return self.state / "router.lock"

    @property
    def router_log(self) -> Path:
        return self.state / "router.log"

    @property
    def router_intent(self) -> Path:
        return self.state / "router.intent.json"

    @property
    def router_failure(self) -> Path:
        """Why the last router gave up, as an agent's `failure`."""
        return self.state / "router.failure.json"

    @property
    def supervisor_lock(self) -> Path:
        return self.state / "supervisor.lock"

    @property
    def supervisor_log(self) -> Path:
        return self.state / "supervisor.log"

    @property
    def supervisor_intent(self) -> Path:
        """Whether a supervisor is wanted, and whether the whole fleet rests (`down`): see `store/intent.py`."""
        return self.state / "supervisor.intent.json"

    @property
    def supervisor_failure(self) -> Path:
        """Why the last supervisor gave up, as an agent's `failure`."""
        return self.state / "supervisor.failure.json"

    @property
    def supervisor_memory(self) -> Path:
        """What the supervisor remembers of starts and failures: see `model/supervision.py`."""
        return self.state / "supervisor.json"

    def agent(self, name: str) -> AgentLayout:
        return AgentLayout(self.agents / name)
