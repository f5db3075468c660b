"""The analyzer in a real Pipecat pipeline, with a real VAD, against a real server process on committed speech."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from pipecat.audio.turn.base_turn_analyzer import EndOfTurnState
from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams
from pipecat.metrics.metrics import TurnMetricsData

from servers.smart_turn.pipecat_analyzer import SmartTurnAnalyzer

with warnings.catch_warnings():
    # Pipecat's audio helpers import a module that leaves the standard library with Python 3.13.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    from pipecat.audio.vad.silero import SileroVADAnalyzer
    from pipecat.frames.frames import (
        EndFrame,
        Frame,
        InputAudioRawFrame,
        MetricsFrame,
        TranscriptionFrame,
        UserStartedSpeakingFrame,
        UserStoppedSpeakingFrame,
        VADUserStoppedSpeakingFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.audio.vad_processor import VADProcessor
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.turns.user_start import VADUserTurnStartStrategy
    from pipecat.turns.user_stop import TurnAnalyzerUserTurnStopStrategy
    from pipecat.turns.user_turn_processor import UserTurnProcessor
    from pipecat.turns.user_turn_strategies import UserTurnStrategies
    from pipecat.workers.runner import WorkerRunner

ROOT = Path(__file__).resolve().parents[3]
TURNS = ROOT / "samples" / "audio" / "turns"
FRAME_MS = 20
SILENCE_S = 1.0
"""After the speech: enough for the VAD, far from Pipecat's stop_secs of 3, so only an answer can end the turn."""

COMPLETE = ["turn-complete-tiny-002-slt", "turn-complete-tiny-016-rms", "turn-complete-plain-007-slt-r1.10"]
CUT = ["turn-cut-short-01-rms", "turn-cut-plain-009-rms-p1.12", "turn-cut-plain-002-slt-p1.12"]
"""Clips of which the model as shipped says plainly what their label says (it does so of 71 of the 100)."""

pytestmark = pytest.mark.slow  # real processes


class Recording(SmartTurnAnalyzer):
    """Keeps the bodies that it sends."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.bodies: list[bytes] = []

    async def _ask(self, body: bytes) -> dict[str, Any]:
        self.bodies.append(body)
        return await super()._ask(body)


class Sink(FrameProcessor):
    """The end of the pipeline, where a bot's language model would sit."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[Frame] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        await self.push_frame(frame, direction)

    def count(self, kind: type[Frame]) -> int:
        return sum(isinstance(frame, kind) for frame in self.frames)

    @property
    def verdicts(self) -> list[TurnMetricsData]:
        data = [item for frame in self.frames if isinstance(frame, MetricsFrame) for item in frame.data]
        return [item for item in data if isinstance(item, TurnMetricsData)]


@pytest.fixture(scope="module")
def server(start: Any) -> Any:
    return start("--model=v3-onnx", real=True, AUTH_KEY="right")


@pytest.fixture
async def analyzer(server: Any) -> AsyncIterator[Recording]:
    found = Recording(url=f"{server.url}/raw", key="right", timeout_ms=2900)
    yield found
    await found.cleanup()


def read(clip: str, *, rate_hz: int = 16_000) -> NDArray[np.int16]:
    samples, _ = soundfile.read(TURNS / f"{clip}.flac", dtype="int16")
    found: NDArray[np.int16] = samples if rate_hz == 16_000 else soxr.resample(samples, 16_000, rate_hz)
    return found


def cut_into_frames(samples: NDArray[np.int16], *, silence_s: float, rate_hz: int) -> Iterator[InputAudioRawFrame]:
    samples = np.concatenate([samples, np.zeros(int(silence_s * rate_hz), np.int16)])
    size = rate_hz * FRAME_MS // 1000
    for at in range(0, len(samples) - size + 1, size):
        yield InputAudioRawFrame(samples[at : at + size].tobytes(), rate_hz, 1)


async def talk(
    analyzer: SmartTurnAnalyzer, clip: str, *, silence_s: float = SILENCE_S, rate_hz: int = 16_000, text: str = ""
) -> Sink:
    """Plays a clip and silence into a pipeline; with `text`, Pipecat also waits for that transcript."""
    stop = TurnAnalyzerUserTurnStopStrategy(turn_analyzer=analyzer, wait_for_transcript=bool(text))
    turns = UserTurnProcessor(user_turn_strategies=UserTurnStrategies([VADUserTurnStartStrategy()], [stop]))
    sink = Sink()
    pipeline = Pipeline([VADProcessor(vad_analyzer=SileroVADAnalyzer()), turns, sink])
    worker = PipelineWorker(pipeline, params=PipelineParams(audio_in_sample_rate=rate_hz), enable_rtvi=False)
    frames: list[Frame] = list(cut_into_frames(read(clip, rate_hz=rate_hz), silence_s=silence_s, rate_hz=rate_hz))
    if text:
        frames.insert(len(frames) // 2, TranscriptionFrame(text, "user", "", finalized=True))

    @worker.event_handler("on_pipeline_started")  # type: ignore[untyped-decorator]
    async def play(worker: PipelineWorker, _: Frame) -> None:
        await worker.queue_frames([*frames, EndFrame()])

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()
    return sink


def ask_server(server: Any, body: bytes, *, rate_hz: int = 16_000) -> dict[str, Any]:
    headers = {"Authorization": "Key right", "X-Sample-Rate": str(rate_hz)}
    answer: dict[str, Any] = server.post(body, headers).raise_for_status().json()
    return answer


@pytest.mark.parametrize("rate_hz", [16_000, 8_000])
@pytest.mark.parametrize("clip", COMPLETE)
async def test_the_server_ends_a_complete_turn(server: Any, analyzer: Recording, clip: str, rate_hz: int) -> None:
    before = server.status()["answered"]

    sink = await talk(analyzer, clip, rate_hz=rate_hz)

    assert (sink.count(UserStartedSpeakingFrame), sink.count(UserStoppedSpeakingFrame)) == (1, 1)
    assert server.status()["answered"] == before + len(analyzer.bodies) == before + len(sink.verdicts)
    assert sink.verdicts[-1].is_complete
    assert sink.verdicts[-1].probability == ask_server(server, analyzer.bodies[-1], rate_hz=rate_hz)["probability"]
    assert (analyzer.answered, analyzer.failures) == (len(analyzer.bodies), {})


@pytest.mark.parametrize("clip", CUT)
async def test_the_server_leaves_a_cut_turn_open(server: Any, analyzer: Recording, clip: str) -> None:
    sink = await talk(analyzer, clip)

    assert (sink.count(UserStartedSpeakingFrame), sink.count(UserStoppedSpeakingFrame)) == (1, 0)
    assert sink.count(VADUserStoppedSpeakingFrame) == len(sink.verdicts) == analyzer.answered >= 1
    assert not any(verdict.is_complete for verdict in sink.verdicts)
    assert sink.verdicts[-1].probability == ask_server(server, analyzer.bodies[-1])["probability"] < 0.5


async def test_silence_ends_a_cut_turn_after_stop_secs(analyzer: Recording) -> None:
    sink = await talk(analyzer, CUT[0], silence_s=3.6)

    assert sink.count(UserStoppedSpeakingFrame) == 1
    assert not sink.verdicts[-1].is_complete


async def test_with_a_transcript_as_pipecat_waits_by_default(analyzer: Recording) -> None:
    sink = await talk(analyzer, COMPLETE[0], text="Please turn off the lights in my room.")

    assert (sink.count(UserStoppedSpeakingFrame), sink.verdicts[-1].is_complete) == (1, True)


async def test_the_bots_own_threshold_keeps_the_turn_open(server: Any) -> None:
    analyzer = SmartTurnAnalyzer(url=f"{server.url}/raw", key="right", timeout_ms=2900, threshold=0.999)

    sink = await talk(analyzer, COMPLETE[0])

    assert sink.count(UserStoppedSpeakingFrame) == 0
    assert [0.9 < verdict.probability < 0.999 for verdict in sink.verdicts] == [True]


@pytest.mark.parametrize(("key", "port", "kind"), [("wrong", None, "http_401"), ("right", 9, "connection")])
async def test_without_the_server_silence_ends_the_turn(server: Any, key: str, port: int | None, kind: str) -> None:
    analyzer = SmartTurnAnalyzer(url=f"http://127.0.0.1:{port or server.port}/raw", key=key)

    sink = await talk(analyzer, COMPLETE[0], silence_s=3.6)

    assert (sink.count(UserStoppedSpeakingFrame), sink.verdicts) == (1, [])
    assert (set(analyzer.failures), analyzer.answered) == ({kind}, 0)


async def test_without_the_server_the_local_model_ends_the_turn() -> None:
    analyzer = SmartTurnAnalyzer(url="http://127.0.0.1:9/raw", fallback="local", params=SmartTurnParams(stop_secs=30))

    sink = await talk(analyzer, COMPLETE[0])

    assert (sink.count(UserStoppedSpeakingFrame), sink.verdicts[-1].is_complete) == (1, True)
    assert analyzer.fallback_answered == analyzer.failures["connection"] == len(sink.verdicts)


@pytest.mark.slow
async def test_two_hundred_calls_are_all_answered_by_the_server(server: Any, analyzer: Recording) -> None:
    before, verdicts = server.status()["answered"], []
    for clip in sorted(path.stem for path in TURNS.glob("*.flac")):
        for rate_hz in (16_000, 8_000):
            analyzer.set_sample_rate(rate_hz)
            for frame in cut_into_frames(read(clip, rate_hz=rate_hz), silence_s=0.2, rate_hz=rate_hz):
                analyzer.append_audio(frame.audio, True)
            state, verdict = await analyzer.analyze_end_of_turn()
            analyzer.clear()
            verdicts.append((state == EndOfTurnState.COMPLETE, verdict))

    assert server.status()["answered"] == before + 200
    assert (len(verdicts), analyzer.answered, analyzer.failures) == (200, 200, {})
    for number in range(0, 200, 5):  # each label and rate is among them
        is_complete, verdict = verdicts[number]
        answer = ask_server(server, analyzer.bodies[number], rate_hz=(16_000, 8_000)[number % 2])
        assert isinstance(verdict, TurnMetricsData)
        assert (verdict.probability, is_complete) == (answer["probability"], answer["prediction"] == 1)


def test_the_documents_bot_can_be_built(tmp_path: Path) -> None:
    program = (ROOT / "docs" / "pipecat.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    bot = tmp_path / "bot.py"
    bot.write_text(program.replace("    asyncio.run(main())", "    print(create_worker())"), encoding="utf-8")

    # A process of its own: Pipecat's services and its transport warn of deprecated classes that they use.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "none"}
    done = subprocess.run([sys.executable, bot], capture_output=True, text=True, check=False, env=environment)

    assert (done.returncode, done.stdout) == (0, "PipelineWorker#0\n"), done.stderr
