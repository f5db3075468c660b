"""A server in virtual time whose capacity is known: N speakers in a closed loop before one queue and k workers.

Each speaks for a while, sends, waits until a worker has served the utterance, and speaks again. Where service times are
exponential the waiting is that of the machine-repair model, in closed form; others are simulated at length.
Nothing sleeps. For tests and benchmarks/capacity_search.py.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal

import numpy as np
from scipy import special

from yapbench.capacity import Observation, Search
from yapbench.validity import Verdict

Service = Literal["exponential", "gamma", "constant"]
_GAMMA_SHAPE: Final = 4.0
_BLOCK: Final = 4096
"""Random numbers drawn at a time."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """`workers` take pieces of audio first come first served; utterances last 0.5 to 1.5 times `speech_s`.

    An utterance arrives in pieces of `piece_s` while it is spoken, each as much work as the next; it is final when its
    last piece is done. `piece_s` None: it is one piece, which arrives when all is said.
    """

    workers: int
    service_s: float
    """Mean work of a piece."""
    speech_s: float
    piece_s: float | None = None
    service: Service = "exponential"

    def probe(self, level: int, repeat: int, *, seed: int, seconds: float, utterances: int) -> Observation:
        """One level for so many seconds, and for so many utterances at the least; what `run` says of it."""
        eos_ms, streams, rate = self.run(level, utterances, np.random.default_rng((seed, level, repeat)), seconds)
        return Observation(
            level=level,
            repeat=repeat,
            n=len(eos_ms),
            failures={},
            eos_ms=tuple(eos_ms),
            streams=tuple(streams),
            heard={},
            no_words="no text has a reference",
            no_lag="virtual time has no words",
            finished_per_s=rate,
            speech_s=self.speech_s,
            cycle_s=level / rate,
        )

    def run(
        self, level: int, utterances: int, rng: np.random.Generator, seconds: float = 0.0
    ) -> tuple[list[float], list[int], float]:
        """From end of speech to final of each counted utterance in ms, its speaker, and how many ended per second.

        Speakers begin spread over an utterance, as the load generator's do. As many utterances as there are speakers
        are warm-up; then so many are counted, and for so many seconds.
        """
        service, speech = self._services(rng), self._lengths(rng)
        piece_s = self.piece_s or math.inf
        said = [0.0] * level
        """When each speaker will have said all."""
        done = [0.0] * level
        """When the last of the speaker's pieces is done."""
        arriving: list[tuple[float, int]] = []
        for user in range(level):
            begins = self.speech_s * user / level
            said[user] = begins + next(speech)
            arriving.append((min(begins + piece_s, said[user]), user))
        heapq.heapify(arriving)
        free = [0.0] * self.workers
        replace_least = heapq.heapreplace
        warming, warm_s, at = level, 0.0, 0.0
        ends: list[float] = []
        streams: list[int] = []
        eos_ms: list[float] = []
        while len(eos_ms) < utterances or at < warm_s + seconds:
            at, user = arriving[0]
            begin, whole = free[0], said[user]
            end = (begin if begin > at else at) + next(service)
            replace_least(free, end)
            if at < whole:
                if end > done[user]:
                    done[user] = end
                following = at + piece_s
                replace_least(arriving, (following if following < whole else whole, user))
                continue
            end = max(end, done[user])
            if warming:
                warming, warm_s = warming - 1, max(warm_s, end)
            else:
                eos_ms.append(1e3 * (end - at))
                streams.append(user)
                ends.append(end)
            said[user] = end + next(speech)
            done[user] = 0.0
            replace_least(arriving, (min(end + piece_s, said[user]), user))
        after = sorted(end for end in ends if end > warm_s)
        return eos_ms, streams, len(after) / (after[-1] - warm_s)

    def _services(self, rng: np.random.Generator) -> Iterator[float]:
        """Seconds of work with mean `service_s`, without end."""
        if self.service == "constant":
            yield from itertools.repeat(self.service_s)
        shape = 1.0 if self.service == "exponential" else _GAMMA_SHAPE
        while True:
            yield from rng.gamma(shape, self.service_s / shape, _BLOCK).tolist()

    def _lengths(self, rng: np.random.Generator) -> Iterator[float]:
        """Seconds of speech, without end."""
        while True:
            yield from (self.speech_s * rng.uniform(0.5, 1.5, _BLOCK)).tolist()

    def late_share(self, level: int, slo_ms: float) -> float:
        """The share of utterances at `level` that wait longer than `slo_ms`; exponential service only.

        Machine-repair model (Feller 1968, XVII.7; speech of any distribution: Baskett et al. 1975). Who arrives finds
        the others as they are in the long run (arrival theorem); he waits for an Erlang time and is served.
        """
        assert self.service == "exponential"
        found = np.arange(level)
        busy = np.cumsum([0.0, *(math.log(self.service_s / min(j, self.workers)) for j in range(1, level))])
        logs = busy + (level - 1 - found) * math.log(self.speech_s) - special.gammaln(level - found)
        weights = np.exp(logs - logs.max())
        late = self._late(np.maximum(0, found - self.workers + 1), slo_ms / 1e3)
        return float(weights @ late / weights.sum())

    def _late(self, ahead: np.ndarray, t: float) -> np.ndarray:
        """P(Erlang(ahead, k / s) + Exponential(1 / s) > t), for each number of services that have to end before."""
        a, b = self.workers / self.service_s, 1 / self.service_s
        if self.workers == 1:
            return np.asarray(special.gammaincc(ahead + 1.0, a * t))
        m = np.maximum(1, ahead).astype(np.float64)
        with np.errstate(divide="ignore"):
            tail = np.exp(-b * t + m * math.log(a / (a - b)) + np.log(special.gammainc(m, (a - b) * t)))
        return np.where(ahead > 0, special.gammaincc(m, a * t) + tail, math.exp(-b * t))

    @property
    def has_formula(self) -> bool:
        """Whether `late_share` applies."""
        return self.service == "exponential" and self.piece_s is None

    def tail_ms(self, level: int, quantile: float = 0.95, *, utterances: int = 20_000) -> float:
        """The quantile of the time to the final in the long run: by the formula, else by a long simulation."""
        if not self.has_formula:
            eos_ms, _, _ = self.run(level, utterances, np.random.default_rng((1, level)))
            return float(np.quantile(eos_ms, quantile))
        from scipy.optimize import brentq

        most_ms = 1e3 * self.service_s * (20 + 3 * level / self.workers)
        return float(brentq(lambda ms: self.late_share(level, ms) - (1 - quantile), 1e-3, most_ms, rtol=1e-6))

    def capacity(self, slo_ms: float, quantile: float = 0.95, *, utterances: int = 20_000) -> float:
        """Where the tail reaches the target, linear between the logarithms of neighbouring levels; < 1: nowhere."""
        low, high = 0, 1
        while self.tail_ms(high, quantile, utterances=4000) <= slo_ms:
            low, high = high, 2 * high
        while high - low > 1:
            level = (low + high) // 2
            precise = utterances if high - low <= max(4, level // 8) else 4000
            holds = self.tail_ms(level, quantile, utterances=precise) <= slo_ms
            low, high = (level, high) if holds else (low, level)
        if not low:
            return 0.0
        x, y = math.log(low), math.log(self.tail_ms(low, quantile, utterances=utterances))
        dx, dy = math.log(high) - x, math.log(self.tail_ms(high, quantile, utterances=utterances)) - y
        return math.exp(x + dx * min(1.0, max(0.0, (math.log(slo_ms) - y) / dy)))


POOL: Final = 25
"""So many different servers; their capacities take long simulations."""


@cache
def recogniser(number: int, slo_ms: float = 500.0) -> tuple[Queue, float]:
    """A server that works while it hears, and its capacity: the latter spread evenly from 5 to 400, by its logarithm.

    Pieces of 0.2 to 1 s, utterances of 2 to 6 s, 1 to 8 workers, gamma-distributed work with a variation of a half.
    """
    rng = np.random.default_rng((20_241_121, number))
    wanted = 8 * (370 / 8) ** (number / (POOL - 1))
    piece_s = float(rng.uniform(0.2, 1.0))
    workers = int(min(rng.choice([1, 2, 4, 8]), max(1, wanted // 8)))
    service_s = 0.95 * piece_s * workers / wanted
    queue = Queue(
        workers=workers, service_s=service_s, speech_s=float(rng.uniform(2, 6)), piece_s=piece_s, service="gamma"
    )
    return queue, queue.capacity(slo_ms)


def clerks(seed: int, slo_ms: float = 500.0) -> tuple[Queue, float]:
    """A server that takes up an utterance when all is said, exponential work, and its capacity by the formula.

    Work of 4 to 20 % of the target, utterances of 1 to 8 s: its tail grows slowly with the load, so that few utterances
    tell little of where it reaches the target.
    """
    rng = np.random.default_rng((20_241_122, seed))
    wanted = math.exp(rng.uniform(math.log(5), math.log(400)))
    service_s, speech_s = slo_ms / 1e3 * float(rng.uniform(0.04, 0.2)), float(rng.uniform(1, 8))
    queue = Queue(workers=max(1, round(wanted * service_s / speech_s)), service_s=service_s, speech_s=speech_s)
    return queue, queue.capacity(slo_ms)


def searched(
    queue: Queue, search: Search, *, seed: int = 0, seconds: float = 60.0, utterances: int = 300
) -> list[Observation]:
    """Answers the search until it asks no more; gives what it was answered."""
    while (asked := search.next()) is not None:
        search.take(queue.probe(asked.level, asked.repeat, seed=seed, seconds=seconds, utterances=utterances))
    return list(search.seen)


def late(observation: Observation) -> Observation:
    """The same probe with a client that was late."""
    return replace(observation, validity=Verdict.INVALID, reasons=("client late: p99 12.0 ms > 10 ms",))
