"""Whether there is room on the machine for one more agent. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from relayfleet.model.fleet import Limits

# What a session and its runner take once they are up; one that is coming has not taken it yet.
AGENT_MB = 300
# Sessions that come up at once: each is a busy process for a moment, more of them only wait for one another.
AT_ONCE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """`running` agents hold their lock or are being launched, `coming` of them are not ready yet. `free_mb` is the
    memory that is available, None when nobody asks for any to be kept."""

    limits: Limits
    running: int
    coming: int
    free_mb: int | None = None

    def lack(self) -> str:
        """Why one more agent would be one too many; empty when it would not."""
        most, least = self.limits.max_agents, self.limits.min_free_mb
        if most is not None and self.running >= most:
            return f"{self.running} agents run, and limits.max_agents is {most}"
        if least and self.free_mb is not None and self.free_mb - AGENT_MB * (self.coming + 1) < least:
            return (
                f"{self.free_mb} MB of memory are available, {AGENT_MB} MB are reckoned for each agent that comes up,"
                f" and limits.min_free_mb is {least}"
            )
        return ""


def queued_behind(ahead: int) -> str:
    """How many others that wait come first, as the beginning of what a queued agent says of itself."""
    return f"{ahead} wait before it; " if ahead else "it is the next; "
