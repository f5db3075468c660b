"""The figure of single sessions: each a lane from its dial to its end, failures by type. Reads stored rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from matplotlib.axes import Axes

from yapbench import axes as names_of
from yapbench.figure import FAINT, INK, MUTED, SERIES, Figure, Sheet, draw, nothing
from yapbench.plots.legend import Item, height, write_legend
from yapbench.plots.outcomes import look
from yapbench.schema import Outcome, Phase
from yapbench.store import TrialData
from yapbench.streams.captions import Manner
from yapbench.streams.times import FINAL, READY, Stream

MOST_LANES: Final = {"wide": 26, "phone": 16}
_TALLEST: Final = max(MOST_LANES.values())

Lane = tuple[dict[Any, Any], Stream]


def session_timeline(trial: TrialData, *, level: float | None = None, named: str = "") -> Figure:
    """Sessions of one load level (None: the first with a failure, else the heaviest), each a lane over time.

    As many as have room, around the first failure where there is one; how many are not shown is said. `named`: what
    the trial is called among others.
    """
    rows = trial.utterances[trial.utterances["phase"] == Phase.STEADY]
    if rows.empty:
        return nothing("sessions", title="Sessions over time", reason="No stream was counted.")
    failed_levels = rows["level"][rows["outcome"] != Outcome.OK]
    if level is None:
        level = float(failed_levels.min() if len(failed_levels) else rows["level"].max())
    rows = rows[rows["level"] == level]
    rows = rows[rows["repeat"] == rows["repeat"].min()].sort_values(["intended_ns", "index"])
    lanes: list[Lane] = [(row, Stream.of(row)) for row in rows.to_dict("records")]
    stream = (trial.info.get("load") or {}).get("stream") or {}
    manner = Manner(str(stream.get("eos", "commit")), float(stream.get("pace", 1.0)))
    kind = str((trial.info.get("load") or {}).get("kind", "closed"))
    words = names_of.level_words(kind, level, streams=True)
    called = f"{named}, {words}" if named else words
    title = f"{_finding(lanes, called)} · {manner.words}"
    if not lanes:
        return nothing("sessions", title=title, reason="No stream was counted at this load.", manner=manner.words)
    failures = sorted({stream.outcome for _, stream in lanes if not stream.ok})

    def paint(sheet: Sheet) -> None:
        shown = _around(lanes, MOST_LANES[sheet.size])
        tall = sheet.canvas.get_figheight()
        head = height(_legend(failures), sheet.size)
        ax = sheet.canvas.add_axes((0.02, 0.42 / tall, 0.96, 1 - (0.42 + head) / tall))
        zero_ns = min(_begin_ns(stream) for _, stream in shown)
        for number, (row, session) in enumerate(shown):
            _lane(sheet, ax, number, row, session, zero_ns)
        ax.set(ylim=(len(shown) - 0.3, -0.7))
        ax.set_xlim(0, None)
        ax.set_yticks([])
        ax.grid(False, axis="y")
        ax.spines["left"].set_visible(False)
        ax.set_xlabel("seconds since the first of them was dialled")
        write_legend(sheet, _legend(failures))

    text = f"{min(len(lanes), _TALLEST)} of {len(lanes)} sessions at {words}"
    hidden = [stream for _, stream in lanes if all(stream is not s for _, s in _around(lanes, _TALLEST))]
    failed = sum(not stream.ok for stream in hidden)
    note = f"{text}, in the order of their beginnings (fewer on a phone)."
    if hidden:
        note += f" Not shown: {len(hidden)}, {failed or 'none'} of them failed."
    label = f"{title}. {text}; {sum(not stream.ok for _, stream in lanes)} failed"
    heights = {
        size: 0.55 + height(_legend(failures), size) + max(0.7, 0.125 * min(most, len(lanes)))
        for size, most in MOST_LANES.items()
    }
    return draw("sessions", paint, title=title, label=label, note=note, manner=manner.words, heights=heights)


def _finding(lanes: Sequence[Lane], words: str) -> str:
    failed = sum(not stream.ok for _, stream in lanes)
    if not failed:
        return f"Every one of {len(lanes)} sessions at {words} got its final"
    return f"{failed} of {len(lanes)} sessions at {words} failed"


def _around(lanes: Sequence[Lane], most: int) -> list[Lane]:
    """`most` neighbouring lanes, the first failure among them in the middle; else from a third of the level on."""
    first = next((k for k, (_, stream) in enumerate(lanes) if not stream.ok), len(lanes) // 3 + most // 2)
    start = max(0, min(first - most // 2, len(lanes) - most))
    return list(lanes[start : start + most])


def _begin_ns(stream: Stream) -> int:
    return stream.t0_ns if stream.connect_start_ns is None else min(stream.connect_start_ns, stream.t0_ns)


def _lane(sheet: Sheet, ax: Axes, y: int, row: dict[Any, Any], stream: Stream, zero_ns: int) -> None:
    def s(at_ns: float) -> float:
        return (at_ns - zero_ns) / 1e9

    ready = next((event.at_ns for event in stream.events if event.kind == READY), None)
    dialled, connected, end_ns = stream.connect_start_ns, stream.connected_ns, int(row["ended_ns"])
    if dialled is not None:
        ax.plot([s(dialled), s(connected or end_ns)], [y, y], color=MUTED, linewidth=2.6, solid_capstyle="butt")
    if connected is not None:
        until = ready or stream.sent_ns or end_ns
        ax.plot([s(connected), s(max(until, connected))], [y, y], color=SERIES[3], linewidth=2.6, solid_capstyle="butt")
    if stream.sent_ns is not None:
        ax.plot([s(stream.sent_ns), s(end_ns)], [y, y], color=FAINT, linewidth=0.9)
        sent_until = stream.sent_end_ns or end_ns
        (sent,) = ax.plot(
            [s(stream.sent_ns), s(sent_until)], [y, y], color=SERIES[0], linewidth=5, alpha=0.4, solid_capstyle="butt"
        )
        sheet.tip(sent, _words(row, stream))
    ticks = [s(event.at_ns) for event in stream.partials]
    ax.plot(ticks, [y] * len(ticks), "|", color=SERIES[0], markersize=6.5, markeredgewidth=1.3, zorder=4)
    if stream.is_paced and stream.end_s is not None and stream.sent_ns is not None:
        ax.plot([s(stream.audio_ns(stream.end_s))], [y], "|", color=INK, markersize=8.5, markeredgewidth=1.6, zorder=5)
    if stream.ok and stream.final is not None:
        ax.plot([s(stream.final.at_ns)], [y], "o", color=SERIES[2], markersize=4.6, zorder=6)
    elif not stream.ok:
        seen = look(stream.outcome)
        ax.plot([s(end_ns)], [y], seen.mark, color=seen.colour, markersize=6, zorder=6)
        sheet.tip_at(ax, s(end_ns), y, _words(row, stream))


def _words(row: dict[Any, Any], stream: Stream) -> str:
    """A lane's hover text: what was said and how it ended."""
    name = f"{row['utterance_id']}, {len(stream.partials)} partials"
    if not stream.ok:
        why = f": {row['error']}" if row.get("error") else ""
        return f"{name}, {stream.outcome.replace('_', ' ')}{why}"[:300]
    finals = sum(event.kind == FINAL for event in stream.events)
    if stream.final is None:
        return f"{name}, ok without a final"
    if stream.is_paced and stream.end_s is not None:
        late_ms = (stream.final.at_ns - stream.audio_ns(stream.end_s)) / 1e6
        return f"{name}, final {late_ms:.0f} ms after the end of speech"
    return f"{name}, {finals} final{'' if finals == 1 else 's'}"


_GLYPHS: Final = {"X": "✖", "s": "■", "D": "◆", "^": "▲", "v": "▼", "<": "◀", ">": "▶", "P": "✚", "*": "★"}


def _legend(failures: Sequence[str]) -> list[Item]:
    looks = [(look(name), name.replace("_", " ")) for name in failures]
    return [
        ("▬ dial", MUTED),
        ("▬ handshake", SERIES[3]),
        ("▬ audio sent", SERIES[0]),
        ("| partial", SERIES[0]),
        ("| end of speech", INK),
        ("● final", SERIES[2]),
        *((f"{_GLYPHS.get(seen.mark, '×')} {name}", seen.colour) for seen, name in looks),
    ]
