"""What the router remembers and waits for somebody to look at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from relayfleet.fleet.finding import Finding, broken, ok, warning
from relayfleet.model.fingerprint import route_fingerprint
from relayfleet.model.route import Gate
from relayfleet.ports.cursor import Breaker

_MB = 1024 * 1024
_MUCH_BYTES = 1024 * _MB
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterMemory:
    """What router.db says. `held_s` is how long the oldest of what is held back has waited, 0 when nothing is. `fault`
    is why it cannot be read; the rest is empty then."""

    bytes: int = 0
    held: int = 0
    held_s: float = 0.0
    breakers: Collection[Breaker] = ()
    fault: str = ""
    hint: str = ""


def check_router(memory: RouterMemory | None, gate: Gate | None) -> Iterable[Finding]:
    """Nothing of a fleet whose router has never run."""
    if memory is None:
        return
    if memory.fault:
        yield broken("router.db", memory.fault, memory.hint or "see `fleet logs router`")
        return
    size = f"{memory.bytes / _MB:.1f} MB"
    if memory.bytes > _MUCH_BYTES:
        yield warning("router.db", f"it takes {size}", "`fleet router cursor show` says what is in it")
    else:
        yield ok("router.db", f"it takes {size}")
    places = _places(gate)
    for one in memory.breakers:
        place = places.get(one.route)
        of = f"route {place}" if place is not None else "a route that is no more"
        fix = f"look at the conversation, then `fleet route reset{'' if place is None else f' {place}'}`"
        yield warning(
            f"breaker {one.about}", f"agents answered each other {one.count} times there: {of} is cut off", fix
        )
    if memory.held:
        days = memory.held_s / _DAY_S
        age = f"{days:.0f} days" if days >= 2 else f"{memory.held_s / 3600:.0f} hours"
        what = "1 event waits" if memory.held == 1 else f"{memory.held} events wait"
        fix = "`fleet quarantine list`, then `fleet quarantine show`, `release` or `drop`"
        yield warning("quarantine", f"{what} to be released or dropped, the oldest for {age}", fix)


def _places(gate: Gate | None) -> Mapping[str, int]:
    """The index of the first route with each fingerprint."""
    routes = gate.routes if gate is not None else ()
    return {route_fingerprint(route): place for place, route in reversed(list(enumerate(routes)))}
