import socket
import subprocess
import sys
import time

import pytest

from engines import free_port
from lading.sandbox import relayed

SERVER = """
import http.server, sys
class Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


@pytest.fixture
def start():
    started = []

    def start(argv, path, port):
        command = relayed(argv, python=sys.executable, port=port, socket=str(path))
        started.append(subprocess.Popen(command))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()


def ask(path, body):
    """Send a request as soon as there is an answer."""
    head = b"POST / HTTP/1.0\r\ncontent-length: %d\r\n\r\n" % len(body)
    while True:
        with socket.socket(socket.AF_UNIX) as near:
            try:
                near.connect(str(path))
                near.sendall(head + body)
                near.shutdown(socket.SHUT_WR)
                got = b"".join(iter(lambda: near.recv(65536), b""))
            except OSError:
                got = b""
        if got:
            return got.partition(b"\r\n\r\n")[2]
        time.sleep(0.02)


def test_a_server_of_tcp_is_reached_by_a_unix_socket(start, tmp_path):
    port = free_port()
    running = start([sys.executable, "-c", SERVER, str(port)], tmp_path / "s", port)
    body = bytes(range(256)) * 8192
    assert ask(tmp_path / "s", body) == body
    running.terminate()
    assert running.wait(10) == 128 + 15


def test_the_relay_ends_as_its_server_ends(start, tmp_path):
    running = start([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "s", free_port())
    assert running.wait(10) == 3
