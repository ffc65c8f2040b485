"""Time a start with no byte code, with that of what a start imports, and with all of it; print layer sizes.

    python benchmarks/bytecode.py [--repeat 5]

The three are the same image but for its byte code; they alternate. CPU seconds run from exec to the first
correct prediction and count every process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from lading import settings
from lading.core.image import Layer
from lading.layers import Recipe, bytecode, seal
from lading.pipeline.context import Context
from lading.pipeline.running import command, temporary_folder
from measure import spread
from start import pack, serve

LIST = """
import os
paths = [os.path.join(folder, name) for top in ("/usr/lib/python3", "/usr/lib/python{minor}", "/opt/lading")
         for folder, _, names in os.walk(top) for name in names if name.endswith(".py")]
open("/tmp/paths", "w").write("\\n".join(p for p in sorted(paths) if os.path.isfile(p)))
"""


def compile_all(context: Context, layers: tuple[Layer, ...], minor: str) -> Layer:
    """Seal the byte code of every module in the image."""
    python, sandbox = "/opt/lading/env/bin/python", context.sandbox(layers)
    with temporary_folder() as tmp:
        (listed := tmp / "list").mkdir()
        (out := tmp / "out").mkdir()
        script = LIST.replace("{minor}", minor)
        bytecode._run(sandbox, [python, "-I", "-c", script], listed, 60)  # noqa: SLF001
        paths = (listed / "paths").read_text().splitlines()
        bytecode._run(sandbox, [python, "-S", "-s", "-B", "-c", bytecode._COMPILE, *paths], out, 600)  # noqa: SLF001
        with (out / "compiled").open("rb") as stream:
            compiled = dict(bytecode._read(stream, ("/",)))  # noqa: SLF001
    recipe = Recipe("bytecode", "all byte code", {}, lambda _, writer: bytecode.write(compiled, writer))
    return seal(recipe, (), context.store)


def main() -> None:
    """Alternate the three, print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    home = Path(os.environ.get("LADING_HOME") or tempfile.mkdtemp(prefix="lading-bytecode-"))
    context = Context(settings.load(home=home))
    package = pack(context, Path(tempfile.mkdtemp(prefix="lading-bytecode-")))
    argv, env = command(package.image)
    none = tuple(one for one in package.image.layers if one.kind != "bytecode")
    these = tuple(one for one in package.image.layers if one.kind == "bytecode")
    minor = ".".join(package.bill.environment.python.split(".")[:2])
    every = (compile_all(context, none, minor),)
    kinds = {"none": (), "what a start imports": these, "all": every}
    sandboxes = {name: context.sandbox((*none, *layers)) for name, layers in kinds.items()}
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for number in range(options.repeat + 1):
        for name, sandbox in sandboxes.items():
            seen = serve(sandbox, argv, env)
            runs[name] += [seen] if number else []  # the first warms the page cache
    print(f"{'byte code':<24}{'layers, MB':<14}{'wall s':<24}CPU s")
    for name, seen in runs.items():
        size = sum(layer.descriptor.size_bytes for layer in kinds[name]) / 1e6
        cpu = spread([one for _, one in seen])
        print(f"{name:<24}{size:<14.1f}{spread([wall for wall, _ in seen]):<24}{cpu}")


if __name__ == "__main__":
    main()
