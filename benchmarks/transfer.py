"""Push and pull over loopback: `lading`, `skopeo copy` and `podman`, alternating, to a real registry.

    python benchmarks/transfer.py [--repeats 5] [--folder /dev/shm] [--no-podman]
    python benchmarks/transfer.py --memory [--gigabytes 10]

An image of 1.26 GB in 41 layers that no compressor shrinks. CPU seconds are the client's and, apart, the
registry's. Then a second package that has all layers but the last is pushed to another repository, and what
travels is counted. On a disk that is slower than the network all three wait for it: a folder in memory shows
what they take themselves. `--memory` moves one blob of 10 GB instead and prints the peaks. Needs
docker-registry, skopeo and podman with runc.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lading.core import canonical
from lading.core.descriptor import CONFIG, LAYER_GZIP, MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.reference import Reference
from lading.store import LayoutStore, documents
from measure import Run, ratio, run, spread

LADING = [sys.executable, "-m", "lading"]
MODEL_BYTES = 5 << 20
SIZES = (300 << 20, 200 << 20, *[60 << 20] * 6, *[20 << 20] * 12, *[5 << 20] * 20, MODEL_BYTES)


def free_port() -> int:
    """Ask the kernel for a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Registry:
    """Distribution on loopback."""

    def __init__(self, folder: Path) -> None:
        """Start it with its data under `folder`."""
        self.data = folder / "registry"
        self.port = free_port()
        settings = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self.data)}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        path = folder / "registry.yml"
        path.write_text(json.dumps(settings))
        with (folder / "registry.log").open("wb") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", path], stdout=log, stderr=log)
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            time.sleep(0.05)

    @property
    def host(self) -> str:
        """The name that references begin with."""
        return f"localhost:{self.port}"

    @property
    def cpu_s(self) -> float:
        """CPU seconds it has taken so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def forget(self) -> None:
        """Begin empty again."""
        shutil.rmtree(self.data / "docker", ignore_errors=True)

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait()


@contextmanager
def counted(port: int, counts: list[int]) -> Iterator[int]:
    """Forward connections to a port of loopback; add what clients send to `counts[0]`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(source: socket.socket, sink: socket.socket, *, is_counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 20):
                counts[0] += len(data) if is_counted else 0
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                for source, sink, is_counted in ((client, server, True), (server, client, False)):
                    keywords = {"is_counted": is_counted}
                    threading.Thread(
                        target=forward, args=(source, sink), kwargs=keywords, daemon=True
                    ).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.close()


def layer(store: LayoutStore, size_bytes: int, seed: int) -> tuple[Descriptor, Digest]:
    """Write a layer of one file of random bytes, in deflate's stored blocks."""
    entry = tarfile.TarInfo(f"file-{seed}")
    entry.size = size_bytes
    generator = random.Random(seed)
    deflate = zlib.compressobj(0, zlib.DEFLATED, -15)
    crc = length = 0
    diff_id = hashlib.sha256()
    with store.create() as blob:
        written = blob.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
        pieces = (generator.randbytes(1 << 20) for _ in range(size_bytes >> 20))
        for piece in (entry.tobuf(), *pieces, bytes(1024)):
            diff_id.update(piece)
            crc, length = zlib.crc32(piece, crc), length + len(piece)
            written += blob.write(deflate.compress(piece))
        written += blob.write(deflate.flush() + struct.pack("<II", crc, length & 0xFFFFFFFF))
        return Descriptor(LAYER_GZIP, blob.commit(), written), Digest("sha256", diff_id.hexdigest())


def image(store: LayoutStore, name: str, layers: Sequence[tuple[Descriptor, Digest]]) -> Descriptor:
    """Write config and manifest over layers, and name them."""

    def blob(document: object, media_type: str) -> Descriptor:
        data = canonical.encode(document)
        return Descriptor(media_type, documents.write(store, data), len(data))

    rootfs = {"type": "layers", "diff_ids": [str(diff_id) for _, diff_id in layers]}
    config = blob({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}, CONFIG)
    rows = [descriptor.to_json() for descriptor, _ in layers]
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config.to_json(), "layers": rows}
    manifest = blob(document, MANIFEST)
    store.tag(Reference.parse(name), manifest)
    return manifest


class Bench:
    """The commands of the three, and what they took."""

    def __init__(self, folder: Path, registry: Registry, *, with_podman: bool) -> None:
        """Keep everything in `folder`."""
        self.folder, self.registry = folder, registry
        self.log = folder / "log"
        self.home = folder / "home"
        self.layout = self.home / "store"
        self.peers = ["lading", "skopeo", *(["podman"] if with_podman else [])]
        root = folder / "podman"
        self.podman = [
            "podman",
            "--root",
            f"{root}/root",
            "--runroot",
            f"{root}/run",
            "--tmpdir",
            f"{root}/tmp",
        ]
        self.podman += ["--runtime", shutil.which("runc") or "runc", "--cgroup-manager", "cgroupfs"]
        self.podman += ["--events-backend", "file"]

    def push(self, peer: str, repository: str) -> list[str]:
        """Return the command that pushes the image."""
        target = f"{self.registry.host}/{repository}:1"
        return {
            "lading": [*LADING, "push", "bench:1", target],
            "skopeo": [*self.skopeo("dest"), f"oci:{self.layout}:bench:1", f"docker://{target}"],
            "podman": [*self.podman, "push", "--tls-verify=false", "bench:1", f"docker://{target}"],
        }[peer]

    def pull(self, peer: str, repository: str) -> list[str]:
        """Return the command that pulls the image into an empty store."""
        source = f"{self.registry.host}/{repository}:1"
        return {
            "lading": [*LADING, "pull", source],
            "skopeo": [*self.skopeo("src"), f"docker://{source}", f"oci:{self.folder}/pulled:1"],
            "podman": [*self.podman, "pull", "-q", "--tls-verify=false", f"docker://{source}"],
        }[peer]

    def skopeo(self, side: str) -> list[str]:
        """Return the beginning of a copy from or to the registry."""
        return ["skopeo", "--insecure-policy", "copy", "-q", f"--{side}-tls-verify=false"]

    def timed(self, command: Sequence[str], home: Path) -> tuple[Run, float]:
        """Run a command; return what it took, and the registry's CPU seconds."""
        before_s = self.registry.cpu_s
        one = run(command, env={"LADING_HOME": str(home)}, log=self.log)
        return one, self.registry.cpu_s - before_s

    def compare(self, what: str, once: Callable[[str], tuple[Run, float]], repeats: int) -> None:
        """Run the peers in turn and print what they took."""
        taken: dict[str, list[tuple[Run, float]]] = {peer: [] for peer in self.peers}
        for _ in range(repeats):
            for peer in self.peers:
                taken[peer].append(once(peer))
        ours = [one.wall_s for one, _ in taken["lading"]]
        for peer, runs in taken.items():
            walls, cpus = [one.wall_s for one, _ in runs], [one.cpu_s for one, _ in runs]
            line = f"{what:<5} {peer:<7} {spread(walls):>20} s wall {spread(cpus):>20} s CPU"
            line += f" {spread([cpu_s for _, cpu_s in runs]):>20} s CPU of the registry"
            print(line, "" if peer == "lading" else f" lading is {ratio(ours, walls)} as fast", flush=True)

    def push_once(self, peer: str) -> tuple[Run, float]:
        """Push to an empty registry."""
        self.registry.forget()
        return self.timed(self.push(peer, f"push-{peer}"), self.home)

    def pull_once(self, peer: str) -> tuple[Run, float]:
        """Pull into an empty store."""
        pulled = self.folder / "pulled"
        shutil.rmtree(pulled, ignore_errors=True)
        if peer == "podman":
            run([*self.podman, "rmi", "-af"], log=self.log)
        taken = self.timed(self.pull(peer, "pulled"), pulled)
        shutil.rmtree(pulled, ignore_errors=True)
        return taken


def compare(folder: Path, registry: Registry, *, repeats: int, with_podman: bool) -> None:
    """Push, pull, and push what shares all but the model."""
    bench = Bench(folder, registry, with_podman=with_podman)
    store = LayoutStore(bench.layout)
    layers = [layer(store, size_bytes, seed) for seed, size_bytes in enumerate(SIZES)]
    image(store, "bench:1", layers)
    if with_podman:
        run([*bench.podman, "pull", "-q", f"oci:{bench.layout}:bench:1"], log=bench.log)
        listed = subprocess.run([*bench.podman, "images", "-q"], capture_output=True, text=True, check=True)
        run([*bench.podman, "tag", listed.stdout.split()[0], "bench:1"], log=bench.log)
    bench.compare("push", bench.push_once, repeats)
    registry.forget()
    run(bench.push("lading", "pulled"), env={"LADING_HOME": str(bench.home)}, log=bench.log)
    bench.compare("pull", bench.pull_once, repeats)

    other = image(store, "other:1", [*layers[:-1], layer(store, MODEL_BYTES, len(SIZES))])
    total_bytes = sum(part.size_bytes for part in documents.walk(store, other))
    for label, repository in (("the same", "pulled"), ("another", "second")):
        counts = [0]
        with counted(registry.port, counts) as port:
            # the registry is known under another name here, so it is told first what it has
            first = f"localhost:{port}/pulled:1"
            run([*LADING, "push", "bench:1", first], env={"LADING_HOME": str(bench.home)}, log=bench.log)
            counts[0] = 0
            target = f"localhost:{port}/{repository}:2"
            run([*LADING, "push", "other:1", target], env={"LADING_HOME": str(bench.home)}, log=bench.log)
        share = f"{counts[0] / 1e6:.2f} MB of {total_bytes / 1e6:.0f} MB travel"
        print(f"second package, {label} repository: {share}; its model has {MODEL_BYTES / 1e6:.2f} MB")


def memory(folder: Path, registry: Registry, gigabytes: float) -> None:
    """Push and pull one large blob; print the peaks."""
    store = LayoutStore(folder / "home" / "store")
    size_bytes = int(gigabytes * 1e9)
    hasher, left = hashlib.sha256(), size_bytes
    piece = bytes(1 << 20)
    while left:
        hasher.update(piece[: min(left, len(piece))])
        left -= min(left, len(piece))
    digest = Digest("sha256", hasher.hexdigest())
    with store.create() as blob:
        blob.commit()  # so that the folder is there
    with store.path(digest).open("wb") as file:
        file.truncate(size_bytes)
    image(store, "bench:1", [(Descriptor(LAYER_GZIP, digest, size_bytes), digest)])
    target = f"{registry.host}/big:1"
    for what, command, home in (
        ("push", ["push", "bench:1", target], folder / "home"),
        ("pull", ["pull", target], folder / "pulled"),
    ):
        one = run([*LADING, *command], env={"LADING_HOME": str(home)}, log=folder / "log")
        times = f"{one.wall_s:6.1f} s wall {one.cpu_s:6.1f} s CPU"
        print(f"{what} of {gigabytes:g} GB: {times} {one.peak_bytes / 1e6:6.0f} MB peak", flush=True)


def main() -> None:
    """Start a registry and compare, or move one large blob."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--no-podman", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--gigabytes", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lading-transfer-", dir=options.folder) as name:
        registry = Registry(Path(name))
        try:
            if options.memory:
                memory(Path(name), registry, options.gigabytes)
            else:
                with_podman = not options.no_podman
                compare(Path(name), registry, repeats=options.repeats, with_podman=with_podman)
        finally:
            registry.close()


if __name__ == "__main__":
    main()
