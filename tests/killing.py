"""Work that is killed at every point: `python killing.py` runs one kind of it many times and reports as JSON.

Each trial forks this process, which has imported everything, and kills the child with SIGKILL: at a chosen
call that touches the disk or a socket (evenly spread over all of them), or after a random time. Then the
store must pass its own check, and the same work, done again, must succeed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from lading.core import canonical
from lading.core.descriptor import CONFIG, LAYER_GZIP, MANIFEST, REPORT, Descriptor
from lading.core.errors import LadingError
from lading.core.reference import Reference
from lading.pipeline import care, packing, plan, shelf, transfer
from lading.pipeline.context import Context
from lading.settings import Settings
from lading.store import documents
from lading.store.check import check

# what changes a disk or a connection: to be killed while reading is to be killed after the last of these
CALLS = {"open", "write", "writelines", "flush", "fsync", "replace", "rename", "unlink", "remove", "mkdir"}
CALLS |= {"rmdir", "link", "symlink", "chmod", "fchmod", "utime", "flock", "truncate", "ftruncate"}
CALLS |= {"sendall", "send", "connect"}


def counting(kill_at: int | None) -> list[int]:
    """Count the calls of this process from now on; kill it before the one with this number."""
    seen = [0]

    def before(_frame: object, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__name__", "") in CALLS:
            seen[0] += 1
            if seen[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(before)
    sys.setprofile(before)
    return seen


def forked(work: Callable[[], object], *, kill_at: int | None = None, after_s: float | None = None) -> int:
    """Do work in a child, killed or not; return its status as waitpid(2) has it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if kill_at:
                counting(kill_at)
            work()
            status = 0
        except LadingError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        except BaseException:  # noqa: BLE001 - a child of ours may not go on as if it were its parent
            traceback.print_exc()
        finally:
            os._exit(status)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


class Work:
    """What is done to a store, again and again, each time to something new."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.home, self.source, self.registry = options.home, options.folder, options.registry
        self.number = 0

    @property
    def context(self) -> Context:
        return Context(Settings(self.home, sandbox="unshare"))

    def prepare(self) -> None:
        """Make the next thing to work on."""

    def act(self) -> None:
        raise NotImplementedError

    def sound(self) -> list[str]:
        """List what is wrong after the kill."""
        return [str(fault.issue) for fault in check(self.context.store).faults]

    def done(self) -> list[str]:
        """List what is wrong after the work was done again."""
        return self.sound()

    def image(self, *layers: bytes, report: bool = False) -> Descriptor:
        """Write a small image into the store, with a report that refers to it if asked."""
        store = self.context.store

        def blob(data: bytes, media_type: str) -> dict[str, object]:
            return Descriptor(media_type, documents.write(store, data), len(data)).to_json()

        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blob(canonical.encode(config), CONFIG),
        }
        data = canonical.encode({**document, "layers": [blob(layer, LAYER_GZIP) for layer in layers]})
        made = Descriptor.from_json(blob(data, MANIFEST))
        if report:
            about = {"artifactType": REPORT, "subject": made.to_json()}
            more = canonical.encode({**document, **about, "layers": [blob(b"passed" + data, REPORT)]})
            written = Descriptor.from_json(blob(more, MANIFEST))
            store.refer(Descriptor(MANIFEST, written.digest, written.size_bytes, artifact_type=REPORT))
        return made


class Pack(Work):
    """Pack a routine that is new each time; everything else of it is cached and locked."""

    def prepare(self) -> None:
        (self.source / "score.py").write_text(f"def run(data):\n    return data + [{self.number}]\n")

    def act(self) -> None:
        spec = plan.plan(self.source)
        made = packing.pack(self.context, spec, names=(f"echo:{self.number}",), verify=False)
        assert made.digest == self.context.store.find(f"echo:{self.number}").digest


class Verify(Pack):
    """Pack and verify: layers are unpacked, a sandbox runs, a report is kept."""

    def act(self) -> None:
        packing.pack(self.context, plan.plan(self.source), names=("echo:verified",))


class Collect(Work):
    """Collect garbage: an image that has lost its name, with its report, beside one that keeps it."""

    def prepare(self) -> None:
        name = Reference.parse("gone:1")
        store = self.context.store
        store.tag(name, self.image(b"shared", b"gone %d" % self.number, os.urandom(9000), report=True))
        store.tag(Reference.parse("kept:1"), self.image(b"shared", b"kept", report=True))
        store.untag(name)
        cache = self.home / "cache"
        for path in (cache / "downloads/sha256/x", cache / "unpacked/y/z", cache / "layers/aa/b.json"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"old")
        for path in self.home.rglob("*"):
            os.utime(path, (0, 0))

    def act(self) -> None:
        care.collect(self.context, caches=self.number % 2 == 0, older_than_s=0, dry_run=False)

    def done(self) -> list[str]:
        kept = self.context.store.find("kept:1")
        parts = {part.digest for part in documents.walk(self.context.store, kept)}
        [report] = self.context.store.referrers(kept.digest)
        parts |= {part.digest for part in documents.walk(self.context.store, report)}
        left = set(self.context.store.digests())
        problems = [] if parts == left else [f"{len(parts ^ left)} blobs too many or too few"]
        return self.sound() + problems


class Name(Work):
    """Name, rename and forget."""

    def prepare(self) -> None:
        self.context.store.tag(Reference.parse("one:1"), self.image(b"%d" % self.number))

    def act(self) -> None:
        shelf.tag(self.context, "one:1", [f"two:{self.number}", "moved:1"])
        shelf.untag(self.context, [f"two:{self.number}"])
        shelf.remove(self.context, ["moved:1"])


class Begin(Work):
    """Make a store where there is none."""

    def prepare(self) -> None:
        self.home = self.source / str(self.number)

    def act(self) -> None:
        self.context.store.tag(Reference.parse("one:1"), self.image(b"first", report=True))


class Push(Work):
    """Push an image to a registry, where a name must never stand for what is not there in full."""

    def prepare(self) -> None:
        layers = (b"shared by all" * 9000, b"%d" % self.number, os.urandom(200_000))
        self.context.store.tag(Reference.parse("img:1"), self.image(*layers, report=True))

    def act(self) -> None:
        transfer.push(self.context, "img:1", f"{self.registry}/killed/push:{self.number % 3}")

    def sound(self) -> list[str]:
        return super().sound() + broken(self.registry, "killed/push")

    def done(self) -> list[str]:
        mine = self.context.store.find("img:1").digest
        theirs = head(self.registry, "killed/push", f"manifests/{self.number % 3}")[1]
        problems = [] if theirs == str(mine) else [f"got {theirs}, expected {mine}"]
        return self.sound() + problems


class Pull(Push):
    """Pull an image that was pushed by another."""

    def prepare(self) -> None:
        super().prepare()
        transfer.push(self.context, "img:1", f"{self.registry}/killed/pull:1")
        self.pushed = self.context.store.find("img:1").digest
        shelf.remove(self.context, [name for name in ("img:1", "here:1") if self.has(name)])
        care.collect(self.context, caches=False, older_than_s=0, dry_run=False)

    def has(self, name: str) -> bool:
        return any(str(one) == name for one, _ in self.context.store.tags())

    def act(self) -> None:
        transfer.pull(self.context, f"{self.registry}/killed/pull:1", names=["here:1"])

    def sound(self) -> list[str]:
        return Work.sound(self)

    def done(self) -> list[str]:
        problems = [] if self.context.store.find("here:1").digest == self.pushed else ["another image"]
        attached = len(list(self.context.store.referrers(self.pushed)))
        return self.sound() + problems + ([] if attached == 1 else [f"{attached} reports"])


def head(registry: str, repository: str, path: str) -> tuple[int, str]:
    """Ask a registry for something; return its length and its digest."""
    request = urllib.request.Request(f"http://{registry}/v2/{repository}/{path}", method="HEAD")
    request.add_header("Accept", MANIFEST)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return int(answer.headers["content-length"]), answer.headers["docker-content-digest"]


def broken(registry: str, repository: str) -> list[str]:
    """List what the names of a repository stand for and is not there."""
    problems = []
    try:
        with urllib.request.urlopen(f"http://{registry}/v2/{repository}/tags/list", timeout=30) as answer:
            tags = json.load(answer)["tags"] or []
    except urllib.error.HTTPError:
        return []  # nothing was pushed yet
    for tag in tags:
        request = urllib.request.Request(f"http://{registry}/v2/{repository}/manifests/{tag}")
        request.add_header("Accept", f"{MANIFEST}, application/vnd.oci.image.index.v1+json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            document = json.load(answer)
        parts = [("manifests", one) for one in document.get("manifests", ())]
        parts += [("blobs", one) for one in (*document.get("layers", ()), document.get("config")) if one]
        for kind, part in parts:
            try:
                size_bytes, _ = head(registry, repository, f"{kind}/{part['digest']}")
            except urllib.error.HTTPError as error:
                problems.append(f"{tag}: {part['digest']}: {error}")
                continue
            if kind == "blobs" and size_bytes != part["size"]:
                problems.append(f"{tag}: {part['digest']}: {size_bytes} bytes")
    return problems


KINDS = {
    "begin": Begin,
    "pack": Pack,
    "verify": Verify,
    "gc": Collect,
    "name": Name,
    "push": Push,
    "pull": Pull,
}


def measure(work: Work) -> tuple[int, float]:
    """Return how many calls one run makes, and how long it takes."""
    read, write = os.pipe()

    def counted() -> None:
        seen = counting(None)
        work.act()
        sys.setprofile(None)
        os.write(write, str(seen[0]).encode())

    for run in (work.act, counted, work.act):  # the first warms the caches
        work.number += 1
        work.prepare()
        began = time.monotonic()
        assert forked(run) == 0
    return int(os.read(read, 99)), time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("home", type=Path)
    parser.add_argument("folder", type=Path, help="of the model to pack")
    parser.add_argument("--registry", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--trials", type=int, required=True)
    options = parser.parse_args()
    source = random.Random(options.seed)
    work = KINDS[options.kind](options)
    calls, wall_s = measure(work)
    step = max(1, calls // max(1, options.trials * 3 // 4))
    points = list(range(source.randrange(step) + 1, calls + 1, step))
    source.shuffle(points)
    killed, failures = 0, []
    for trial in range(options.trials):
        work.number += 1
        work.prepare()
        by_call = trial % 4 and points
        how = {"kill_at": points.pop()} if by_call else {"after_s": source.uniform(0, wall_s)}
        killed += os.WIFSIGNALED(forked(work.act, **how))
        problems = [f"after the kill: {one}" for one in work.sound()]
        if forked(work.act):
            problems.append("it does not succeed when it is done again")
        else:
            problems += [f"done again: {one}" for one in work.done()]
        if problems:
            failures.append({"trial": trial, "how": how, "problems": problems})
    sys.stdout.write(json.dumps({"calls": calls, "wall_s": wall_s, "killed": killed, "failures": failures}))


if __name__ == "__main__":
    main()
