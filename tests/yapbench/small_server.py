"""A server of the standard library alone, with a child that leaves the session. A script for tests, never imported."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NoReturn


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--mark", required=True)
    parser.add_argument("--mode", default="", help="stubborn, never-ready, dies, impostor; its child: leaves, asleep")
    parser.add_argument("--window-ms", type=float, default=5.0)
    options = parser.parse_args()
    if options.mode == "leaves":
        leave(options.mark)
    if options.mode == "asleep":
        time.sleep(300)
    if options.mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("small server begins", flush=True)
    if options.mode == "dies":
        sys.exit("model file is broken")
    subprocess.Popen([sys.executable, __file__, f"--mark={options.mark}", "--mode=leaves"])
    server = ThreadingHTTPServer(("127.0.0.1", options.port), handler(options))
    server.daemon_threads = True
    server.serve_forever()


def leave(mark: str) -> NoReturn:
    """Twice forked, in a session of its own, deaf to SIGTERM: what a daemon does."""
    if os.fork():
        sys.exit()
    os.setsid()
    if os.fork():
        sys.exit()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.execv(sys.executable, [sys.executable, __file__, f"--mark={mark}", "--mode=asleep"])


def handler(options: argparse.Namespace) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, answer = 200, {}
            if self.path == "/ready" and options.mode == "never-ready":
                code = 503
            if self.path == "/status":
                settings = {"window_ms": options.window_ms, "key": self.headers.get("X-API-Key")}
                pid = 1 if options.mode == "impostor" else os.getpid()
                affinity = sorted(os.sched_getaffinity(0))
                seen = {name: os.environ.get(name) for name in ("RAY_ADDRESS", "STATUS_KEY", "PYTHONPATH")}
                answer = {"server": "small", "pid": pid, "settings": settings, "cpus": affinity, "seen": seen}
                answer["queue_depth"] = 3
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


if __name__ == "__main__":
    main()
