import http.server
import io
import ssl
import threading
import urllib.error
from pathlib import Path
from types import SimpleNamespace

import pytest

from sampan.cli import source
from sampan.cli.settings import Settings
from sampan.errors import SampanError, UsageError
from sampan.spec.source import MAX_BYTES

SETTINGS = Settings(Path("/nowhere"))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/web.yml":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"init: []\n")
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("web.yml", "web"),
        ("/some/where/web.prod.yaml", "web.prod"),
        ("-", "moby"),
        ("https://example.com/a/site.yml?raw=1", "site"),
        ("https://example.com/", "system"),
    ],
)
def test_names_of_outputs(word, name):
    assert source.name_of(word) == name


def test_files_and_standard_input(tmp_path, monkeypatch):
    (tmp_path / "a.yml").write_text("init: []\n")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"files: []\n")))
    [first, second] = source.read([str(tmp_path / "a.yml"), "-"], SETTINGS)
    assert (first.content, second.content) == ("init: []\n", "files: []\n")
    assert second.name == "<stdin>"


def test_standard_input_only_once():
    with pytest.raises(UsageError, match="once only"):
        source.read(["-", "-"], SETTINGS)


def test_endless_standard_input_is_not_read_to_its_end(monkeypatch):
    class Endless:
        def read(self, size):
            assert size == MAX_BYTES + 1
            return b"a" * size

    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=Endless()))
    with pytest.raises(SampanError, match="longer than"):
        source.read(["-"], SETTINGS)


def test_addresses_are_fetched(server):
    [document] = source.read([f"{server}/web.yml"], SETTINGS)
    assert document.content == "init: []\n"
    assert document.name == f"{server}/web.yml"


def test_address_without_a_document(server):
    with pytest.raises(SampanError, match=r"/no\.yml cannot be fetched: Not Found"):
        source.read([f"{server}/no.yml"], SETTINGS)


def test_address_without_a_server():
    with pytest.raises(SampanError) as caught:
        source.read(["http://127.0.0.1:1/x"], SETTINGS)
    assert str(caught.value) == "http://127.0.0.1:1/x cannot be fetched: connection refused"


def test_address_of_a_server_that_is_not_trusted(monkeypatch):
    def refuse(*_, **__):
        error = ssl.SSLCertVerificationError(1, "[SSL: X] certificate verify failed (_ssl.c:1)")
        error.verify_message = "self-signed certificate"
        raise urllib.error.URLError(error)

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(SampanError) as caught:
        source.read(["https://x.test/a.yml"], SETTINGS)
    assert str(caught.value) == (
        "https://x.test/a.yml: its certificate is not trusted: self-signed certificate"
    )
    assert "--cert-file" in (caught.value.hint or "")


@pytest.mark.parametrize("word", ["http://", "http://[::1", "http://a b/", "http://\nx"])
def test_addresses_that_are_none(word):
    with pytest.raises(SampanError):
        source.read([word], SETTINGS)
