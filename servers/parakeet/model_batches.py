"""Which chunks go through the model together: those of like length, so that little of a call is padding. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallCost:
    """What a model call costs, in what a second of one chunk in a full call costs: linear in all three.

    `call`: of any call. `second`: of each second of the longest chunk, however many there are beside it; the decoder
    goes through the longest alone at the end. A call of n chunks as long as the longest costs
    call + longest_s * (second + n).
    """

    call: float
    second: float

    def of(self, longest_s: float, rows: int) -> float:
        """What a call of `rows` chunks costs when they are padded to `longest_s`."""
        return self.call + longest_s * (self.second + rows)


def split(lengths_s: Sequence[float], cost: CallCost, *, most: int) -> list[list[int]]:
    """Indices of the chunks of each call, longest chunks first; at most `most` chunks a call.

    The cheapest way by `cost`: chunks sorted by length are cut where two calls cost less than the padding of one
    (a shortest path over the cuts, n^2 / 2 steps).
    """
    order = sorted(range(len(lengths_s)), key=lambda index: -lengths_s[index])
    best, cuts = [0.0], [0]
    for end in range(1, len(order) + 1):
        ways = [
            (best[begin] + cost.of(lengths_s[order[begin]], end - begin), begin)
            for begin in range(max(0, end - most), end)
        ]
        cheapest, cut = min(ways)
        best.append(cheapest)
        cuts.append(cut)
    groups: list[list[int]] = []
    end = len(order)
    while end:
        groups.append(order[cuts[end] : end])
        end = cuts[end]
    return groups[::-1]
