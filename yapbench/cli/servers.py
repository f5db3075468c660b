"""Verbs for one server: its environment, its life, and a look at what it does."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from yapbench.cli.application import Flags, app
from yapbench.verbs.options import Options

DEFAULTS = Options()


@app.command
def doctor() -> int:
    """Look at this machine: what is there, what is missing, and the command that mends each finding."""
    from yapbench import doctor as module

    return module.report(module.findings())


@app.command(help_flags=())
def install(server: str, *flags: Flags) -> None:
    """Make the environment that SERVER needs with its own flags: `yapbench install smart_turn --model=v2`.

    A no-op where it stands already.
    """
    from yapbench import envs

    envs.install(server, list(flags))


@app.command(help_flags=())
def serve(server: str, *flags: Flags) -> int:
    """Run SERVER in the foreground with its own flags: `yapbench serve smart_turn --port=8001 --window-ms=2`.

    `yapbench serve SERVER --help` lists them.
    """
    from yapbench import command

    return command.foreground(server, list(flags))


@app.command(help_flags=())
def up(server: str, *flags: Flags) -> int:
    """Start SERVER so that it stays, with its own flags: `yapbench up smart_turn --window-ms=2`; `--follow` its log."""
    from yapbench.verbs import serving

    return serving.up(server, list(flags))


@app.command(help_flags=())
def restart(server: str, *flags: Flags) -> int:
    """Stop SERVER and start it with the flags it had, those given now on top; `--follow` its log."""
    from yapbench.verbs import serving

    return serving.restart(server, list(flags))


@app.command
def down(server: str, *flags: Flags) -> int:
    """Stop SERVER; `--purge[=env,logs,weights,caches]` also removes what it leaves (weights and caches: `--yes`)."""
    from yapbench.verbs import purge

    return purge.down(server, list(flags))


@app.command
def status(server: str | None = None) -> int:
    """Say how SERVER, or every one that was up here, stands: health, port, uptime, last lines. 0: it runs, 6: not."""
    from yapbench.verbs import serving

    return serving.status(server)


@app.command
def logs(server: str, *, follow: bool = False, lines: int = 50) -> int:
    """Show what SERVER wrote last.

    Parameters
    ----------
    follow
        Go on until Ctrl+C, which leaves the server alone.
    lines
        How many lines of what is there already.
    """
    from yapbench.verbs import serving

    return serving.logs(server, follow_log=follow, lines=lines)


@app.command
def fetch(server: str, *flags: Flags) -> int:
    """Get SERVER's weights before it is started, and say where they lie. Flags: the server's, `--revision`."""
    from yapbench.verbs import fetch as module

    return module.fetch(server, list(flags))


@app.command
def verify(server: str, *flags: Flags) -> int:
    """Check SERVER (weights, answers) and pack a bundle for a bug report. Flags: `--url`, `--output`, the server's."""
    from yapbench.verbs import verify as module

    return module.verify(server, list(flags))


@app.command
def probe(server: str, /, *, options: Options = DEFAULTS) -> int:
    """Send SERVER, a name or a URL, one clip; show every message in both directions with its time, then the times."""
    from yapbench.verbs import probing

    return probing.probe(server, options)


@app.command
def convo(server: str, /, *, pause_s: float = 1.0, options: Options = DEFAULTS) -> int:
    """Say two utterances (or --n) on one connection to SERVER.

    Parameters
    ----------
    pause_s
        Seconds of nothing between them.
    """
    from yapbench.verbs import convo as module

    return module.convo(server, options, pause_s=pause_s)


@app.command
def idle(
    server: str,
    /,
    *,
    after: Annotated[bool, Parameter(negative="")] = False,
    expect_s: float | None = None,
    tick_s: float | None = None,
    options: Options = DEFAULTS,
) -> int:
    """Open a session with SERVER, say nothing, and see after how long and how it ends it.

    Parameters
    ----------
    after
        Say one utterance first.
    expect_s
        When it should; 2 s and the server's tick beside that, or never, is exit code 6.
    tick_s
        How often the server looks for idle sessions. Default: what its /status says.
    """
    from yapbench.verbs import idle as module

    return module.idle(server, options, after=after, expect_s=expect_s, tick_s=tick_s)


@app.command
def warmup(server: str, /, *, options: Options = DEFAULTS) -> int:
    """Send SERVER one clip and show its times."""
    from yapbench.verbs import quick

    return quick.warmup(server, options)


@app.command
def bench(server: str, /, *, options: Options = DEFAULTS) -> int:
    """Put 50 requests, or 20 streams (or --n), on a running SERVER: p50, p95, EOS, WER, failures, CPU, GPU."""
    from yapbench.verbs import quick

    return quick.bench(server, options)


@app.command
def throughput(server: str, /, *, options: Options = DEFAULTS) -> int:
    """Keep 8 users (or --concurrency) on a running SERVER for 10 s, streams 30 s (or --duration)."""
    from yapbench.verbs import quick

    return quick.throughput(server, options)


@app.command
def remote(server: str, /, *, options: Options = DEFAULTS) -> int:
    """`bench` against RUNPOD_TCP_HOST, RUNPOD_TCP_PORT with RUNPOD_API_KEY of the environment or .env."""
    from yapbench.verbs import quick

    return quick.remote(server, options)


@app.command
def client(server: str, /, *, options: Options = DEFAULTS) -> int:
    """Send SERVER one clip after another and show each answer."""
    from yapbench.verbs import talking

    return talking.client(server, options)
