"""The search itself: asks for one probe after the other, and answers when there is no more to ask.

Holds nothing but what it was told: a stored trial, told again, gives the same probes and the same answer.
"""

from __future__ import annotations

from yapbench.capacity.answer import Answer, answer_of
from yapbench.capacity.observation import Observation
from yapbench.capacity.options import SearchOptions
from yapbench.capacity.steps import Probe, next_probe


class Search:
    """`next`, `take`, `next`, `take` ... until `next` gives None; then `answer`. It may be asked earlier as well."""

    def __init__(self, options: SearchOptions) -> None:
        self.options = options
        self._seen: list[Observation] = []
        self._asked = next_probe(self._seen, options)

    @property
    def seen(self) -> tuple[Observation, ...]:
        """What was taken, in its order."""
        return tuple(self._seen)

    def next(self) -> Probe | None:
        """What is to be measured next; the same until it was taken. None: the search is over."""
        return self._asked

    def take(self, observation: Observation) -> None:
        """What the probe showed that `next` asked for. Raises ValueError for another one."""
        asked = self._asked
        if asked is None or (asked.level, asked.repeat) != (observation.level, observation.repeat):
            wanted = "none" if asked is None else f"level {asked.level}, repeat {asked.repeat}"
            raise ValueError(f"observed level {observation.level}, repeat {observation.repeat}; asked for was {wanted}")
        self._seen.append(observation)
        self._asked = next_probe(self._seen, self.options)

    def answer(self) -> Answer:
        """What is known so far."""
        return answer_of(self._seen, self.options)
