"""How much of a training's time may go into showing it."""

from __future__ import annotations

SHARE = 0.03
BURST_S = 0.2


class Budget:
    """A purse of seconds: `share` of the time that passes goes in, what is spent goes out.

    It holds at most `burst_s`, so that after a quiet time somebody who looks around is answered at once; it may be
    overdrawn by one expense, and then nothing is spent until that is made up for. So over any length of time T at most
    `share * T + burst_s` and one expense are spent.
    """

    def __init__(self, now: float, share: float = SHARE, burst_s: float = BURST_S) -> None:
        self._share, self._burst_s, self._last = share, burst_s, now
        self._purse = burst_s

    def allows(self, now: float) -> bool:
        self._purse = min(self._burst_s, self._purse + self._share * max(0.0, now - self._last))
        self._last = now
        return self._purse > 0.0

    def spend(self, seconds: float, now: float) -> None:
        """`seconds` of work that ended at `now`; working earns nothing."""
        self._purse -= seconds
        self._last = now

    def skip(self, now: float) -> None:
        """Time that was nobody's, such as a pause, earns nothing."""
        self._last = now
