"""Tiny Debian packages, and an archive of Ubuntu's form to serve them, signed by a key of its own."""

import io
import lzma
import tarfile

from pysequoia import SignatureMode, Tsk, sign

from lading.core.digest import Digest
from lading.lock.debian_mirror import Mirror
from lading.lock.distribution import UBUNTU

KEY = Tsk.generate("Test Archive <archive@example.org>")


def packed(files, compress=lzma.compress):
    """Pack files by name into a tar; a text is where a link leads."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
            else:
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data if isinstance(data, bytes) else b""))
    return compress(file.getvalue())


def deb(name, files, *, fields="", about=None, suffix=".xz", compress=lzma.compress):
    """Return the bytes of a package; `about` is what its control archive holds besides `control`."""
    control = f"Package: {name}\nVersion: 1\nArchitecture: amd64\n{fields}Description: short\n"
    told = {"./control": control.encode()}
    told |= {f"./{key}": text.encode() for key, text in (about or {}).items() if text}
    members = {
        "debian-binary": b"2.0\n",
        f"control.tar{suffix}": packed(told, compress),
        f"data.tar{suffix}": packed(files, compress),
    }
    data = b"!<arch>\n"
    for member, body in members.items():
        data += f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode()
        data += body + b"\n" * (len(body) % 2)
    return data


def stanza(name, version="1", depends="", *, data=None, **fields):
    """Describe a package as a Packages file does, truly where its bytes are given."""
    rows = {"Package": name, "Version": version, "Architecture": "amd64", "Depends": depends, **fields}
    rows |= {"Filename": f"pool/main/{name}_{version}_amd64.deb", "Size": str(len(data or b"7 bytes"))}
    rows["SHA256"] = Digest.of(data or f"{name} {version}".encode()).hex
    return "".join(f"{key}: {value}\n" for key, value in rows.items() if value)


class Archive:
    """An archive in a folder as Ubuntu has it: all pockets in one place, two components, one codename."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.keyring = folder / "key.pgp"
        self.keyring.write_bytes(bytes(KEY.extract_certificate()))
        for pocket in ("", "-updates", "-security"):
            self.publish(f"noble{pocket}", {})

    def add(self, name, data):
        """Lay a package where its stanza says it is."""
        path = self.folder / f"pool/main/{name}_1_amd64.deb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def publish(self, suite, components):
        """Write the signed index of a suite, and the packages of each component."""
        rows = []
        for component in UBUNTU.components:
            plain = "\n".join(components.get(component, ())).encode()
            path = f"{component}/binary-amd64/Packages"
            for name, data in ((path, plain), (f"{path}.xz", lzma.compress(plain))):
                file = self.folder / "dists" / suite / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
                rows.append(f" {Digest.of(data).hex} {len(data)} {name}\n")
        release = f"Origin: Ubuntu\nSuite: {suite}\nCodename: noble\nSHA256:\n{''.join(rows)}"
        signed = sign(KEY.signer(), release.encode(), mode=SignatureMode.CLEAR)
        (self.folder / "dists" / suite / "InRelease").write_bytes(signed)

    @property
    def mirror(self):
        uri = self.folder.as_uri()
        return Mirror(uri, uri, (self.keyring,), distribution=UBUNTU)
