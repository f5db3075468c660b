"""The proxy towards clients: TLS, the plain port, what is logged and what never is; and the files that users edit."""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.deploy.routing_callers import Callers
from tests.deploy.routing_proxy import BINARY, CONFIG, Proxy, named, needs_haproxy, proxy
from yapbench import catalog, process
from yapbench.command import free_port
from yapbench.process import Server
from yapbench.schema import Outcome

pytestmark = needs_haproxy

KEY = "hidden-key"
PORTS = {f"{entry.name.upper()}_PORT": str(8001 + number) for number, entry in enumerate(catalog.CATALOG)}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `right` and `other`, each with a certificate for this machine."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("right", "other"):
        command = [str(CONFIG / "certificate.sh"), str(folder / name), "localhost", "127.0.0.1"]
        subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("replica")
    settings, secrets = {"script": Callers().write_script(folder), "log_level": "debug"}, {"ECHO_KEY": KEY}
    with process.launch("echo", settings=settings, log_path=folder / "log", secrets=secrets) as server:
        yield server


@pytest.fixture(scope="module")
def plain(replica: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy("echo", named("echo", [replica]), tmp_path_factory.mktemp("plain")) as running:
        yield running


@pytest.fixture(scope="module")
def tls(replica: Server, certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Speaks TLS, and has a plain port besides: the number in the file `plain` of its folder."""
    folder, http_port = tmp_path_factory.mktemp("tls"), str(free_port())
    (folder / "plain").write_text(http_port)
    environment = {"TLS_CERTIFICATE": str(certificates / "right" / "server.pem"), "HTTP_PORT": http_port}
    with proxy("echo", named("echo", [replica]), folder, HTTPS_PORT="8443", **environment) as running:
        yield running


def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [str(BINARY), "-c", "-f", str(CONFIG / "haproxy.cfg"), "-f", str(CONFIG / "replicas.cfg")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("more", [{}, {"ADMIN_SOCKET": "/tmp/admin"}, {"LOG_TARGET": "127.0.0.1:514"}])
def test_the_files_are_valid_for_all_servers(more: dict[str, str]) -> None:
    found = check(PORTS | more)
    assert found.returncode == 0 and "[WARNING]" not in found.stderr, found.stderr


def test_the_files_are_valid_with_tls(certificates: Path) -> None:
    found = check(PORTS | {"TLS_CERTIFICATE": str(certificates / "right" / "server.pem"), "HTTP_PORT": "80"})
    assert found.returncode == 0 and "[WARNING]" not in found.stderr, found.stderr


def test_every_server_of_the_catalog_has_its_line_and_those_with_seats_are_asked_for_them() -> None:
    lines = re.findall(r"^backend (\w+) from (\w+)$", (CONFIG / "replicas.cfg").read_text(), re.MULTILINE)
    assert sorted(name for name, _ in lines) == sorted(entry.name for entry in catalog.CATALOG)
    with_seats = {name for name, kind in lines if kind == "replicas_with_seats"}
    assert with_seats == {"kyutai", "voxtral", "fastconformer", "parakeet"}


@pytest.mark.slow
async def test_the_harness_speaks_through_tls_to_a_certificate_that_it_trusts(
    tls: Proxy, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers = Callers(seconds=1.0, key=KEY)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "right" / "server.crt"))
    assert callers.heard_right(await callers.call(tls.url, 3, who="trusting"))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "other" / "server.crt"))
    refused = (await callers.call(tls.url, 1, who="wary"))["wary-0"]
    assert refused.outcome is Outcome.REFUSED and "certificate" in str(refused.error).lower()


@pytest.mark.slow
def test_tls_below_1_2_and_plain_text_are_refused(tls: Proxy, certificates: Path) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{tls.port}/health")
    context = ssl.create_default_context(cafile=str(certificates / "right" / "server.crt"))
    assert httpx.get(f"{tls.url}/health", verify=context).json() == {"ok": True}
    offered = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{tls.port}", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "alert protocol version" in offered.stderr and "Cipher is (NONE)" in offered.stdout


@pytest.mark.slow
def test_the_plain_port_sends_browsers_to_https_and_refuses_others(tls: Proxy) -> None:
    url = f"http://127.0.0.1:{(tls.folder / 'plain').read_text()}"
    page = httpx.get(f"{url}/page?api_key={KEY}")
    assert (page.status_code, page.headers["Location"]) == (301, "https://127.0.0.1:8443/page")
    sent = httpx.post(f"{url}/raw", content=b"x")
    assert (sent.status_code, sent.json()["error"]["code"]) == (403, "tls_only")
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws{url.removeprefix('http')}/ws")


@pytest.mark.slow
def test_no_key_reaches_a_log(plain: Proxy, replica: Server) -> None:
    ws = f"ws{plain.url.removeprefix('http')}/ws?api_key="
    with connect(ws + KEY):
        pass
    with pytest.raises(InvalidStatus, match="401"):
        connect(ws + "wrong-key")
    httpx.post(f"{plain.url}/raw?api_key={KEY}", content=b"x", headers={"Authorization": f"Key {KEY}"})
    httpx.get(f"{plain.url}/ no such place?api_key={KEY}")
    statuses = sorted(row["status"] for row in plain.rows())
    assert statuses[:3] == ["101", "400", "401"] and len(statuses) == 4
    assert replica.log_path is not None
    for text in (plain.log, replica.log_path.read_text()):
        assert "/ws" in text and KEY not in text and "wrong-key" not in text


@pytest.mark.slow
def test_a_request_has_one_id_in_the_answer_and_in_both_logs(plain: Proxy, replica: Server) -> None:
    given = httpx.get(f"{plain.url}/health", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"]
    made = httpx.get(f"{plain.url}/health").headers["X-Request-ID"]
    assert given == "mine-1" and len(made) == 36
    assert [row["request_id"] for row in plain.rows()[-2:]] == [given, made]
    assert replica.log_path is not None
    assert all(name in replica.log_path.read_text() for name in (given, made))


@pytest.mark.slow
def test_with_no_replica_the_answer_is_json_and_says_when_to_try_again(plain: Proxy, tmp_path: Path) -> None:
    with proxy("echo", {"echo-1": f"127.0.0.1:{free_port()}"}, tmp_path) as running:
        running.wait_for_states(r1="DOWN")
        found = httpx.get(f"{running.url}/health")
    assert (found.status_code, found.headers["Retry-After"]) == (503, "1")
    assert set(found.json()["error"]) == {"code", "message", "field", "limit"}
    metrics = httpx.get(f"http://127.0.0.1:{plain.statistics_port}/metrics").text
    assert 'haproxy_server_status{proxy="echo",server="echo-1",state="UP"} 1' in metrics


def test_the_certificate_script_says_how_it_is_used(tmp_path: Path) -> None:
    found = subprocess.run([CONFIG / "certificate.sh", tmp_path], capture_output=True, text=True, check=False)
    assert found.returncode == 2 and found.stderr.startswith("usage: certificate.sh FOLDER NAME")
    assert not list(tmp_path.iterdir())
