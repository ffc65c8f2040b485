"""The command of a server that speaks TCP alone goes in; one that is reached by a Unix socket comes out.

In a sandbox without a network the server listens on a loopback that nobody else has. Beside it runs a relay:
standard library, Python 3.7 and later, the only thing of ours in that process tree.
"""

from __future__ import annotations

from collections.abc import Sequence

# The relay is the parent: it hands SIGTERM on, and ends as the server ends. A connection that the server does
# not take yet is closed, which is what a client of a server that does not listen meets.
_SCRIPT = """
import os, signal, socket, subprocess, sys, threading
path, port, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
server = subprocess.Popen(command)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda got, _: server.send_signal(got))
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
os.chmod(path, 0o666)
listener.listen(128)
def pump(source, target):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
def serve(near):
    with near:
        try:
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:
            return
        with far:
            back = threading.Thread(target=pump, args=(far, near), daemon=True)
            back.start()
            pump(near, far)
            back.join()
def accept():
    while True:
        near, _ = listener.accept()
        threading.Thread(target=serve, args=(near,), daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
status = server.wait()
os._exit(status if status >= 0 else 128 - status)
"""


def relayed(argv: Sequence[str], *, python: str, port: int, socket: str) -> list[str]:
    """Wrap a command: `socket` (a path in the sandbox) then leads to its `port`; `python` runs the relay."""
    return [python, "-I", "-c", _SCRIPT, socket, str(port), *argv]
