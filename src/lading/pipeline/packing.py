"""A spec goes in; a sealed, verified, named package comes out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lading import __version__, image
from lading.core.bill import Bill, BilledCode, BilledSlim
from lading.core.digest import Digest
from lading.core.errors import VerifyError
from lading.core.image import Image, Layer
from lading.core.lock import NO_PYTHON, Interpreter, Lock, LockedWheel, PlatformLock
from lading.core.model import ModelFacts, Requirement
from lading.core.ports import Event, Fetch, Sandbox, ignore
from lading.core.reference import Reference
from lading.core.server import NATIVE
from lading.core.spec import Example, PackageSpec
from lading.image.bill import CODE_PATH, ENVIRONMENT_PATH, LOCK_PATH, SERVER_PATH
from lading.image.examples import encode as encode_example
from lading.layers import Cargo, Recipe, assemble, bytecode, recipes, seal
from lading.layers.cache import key
from lading.layers.environment import standard_library
from lading.layers.tar import LayerWriter
from lading.lock import sealed
from lading.pipeline import bases, delivery, environments, plan, summary, system, tracked
from lading.pipeline.billing import bill_recipe, billed, billed_inputs
from lading.pipeline.compiling import ANSWERING, Compiler
from lading.pipeline.context import Context, keeping
from lading.pipeline.dropping import Dropping
from lading.pipeline.locking import fetch_for, lock_facts
from lading.pipeline.running import temporary_folder
from lading.pipeline.sealing import Built, Packed, finish

SKELETON = "environments"
"""The title of the layer that lays both environments out."""


@keeping
def pack(
    context: Context,
    what: PackageSpec,
    *,
    names: tuple[str, ...] | None = (),
    locked: bool = False,
    upgrade: bool = False,
    verify: bool = True,
    sandbox: str | None = None,
) -> Packed:
    """Pack a model: inspect, lock, assemble, describe, verify, and only then name it, unless `names` is None.

    Raises the family of the stage that fails; what was built by then stays in the caches.
    """
    what = tracked.bring(context, what)
    references = () if names is None else plan.references(what, names)
    facts = plan.examine(context, what)
    what, facts = plan.complete(bases.mapped(context, what), facts)
    what = delivery.settle(what, facts, references)
    folder = what.path.parent if what.path else None
    made = lock_facts(context, what, facts, folder=folder, locked=locked, upgrade=upgrade)
    what = environments.slimmed(context, what)
    maker = _Maker(context, what, facts, references, sandbox, verify)
    if not verify:
        return maker.finish(maker.build(made.lock))
    examples = what.examples or facts.examples
    return Dropping(context, what, facts, examples, sandbox).pack(made, maker, locked=locked)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes a package of a lock, in two steps."""

    context: Context
    what: PackageSpec
    facts: ModelFacts
    references: tuple[Reference, ...]
    sandbox: str | None
    verify: bool

    def build(self, lock: Lock, *, compiles: bool = True) -> list[Built]:
        """Make each platform's image."""
        requirements = lock.requirements
        builder = Builder(self.context, self.what, self.facts, requirements, self.sandbox, compiles=compiles)
        return [builder.build(one) for one in lock.platforms]

    def finish(self, built: Sequence[Built]) -> Packed:
        """Seal, verify and name; with the model itself where its form turns out to be another."""
        if self.verify and delivery.comes(self.what):
            delivery.check(self.context, built[0].bill)
        last = partial(finish, references=self.references, verify=self.verify, sandbox=self.sandbox)
        try:
            return last(self.context, built)
        except VerifyError as error:
            if self.what.compile != "auto" or not any(one.original for one in built):
                raise
            reason = f"the form's image is not as the model: {error.issues[0].what}"
            self.context.events(Event("compile", "stage", f"not compiled: {reason}"))
        why = {"kept": False, "reason": reason}
        originals = [replace(one.original, proof=why) if one.original else one for one in built]
        return last(self.context, originals)


class Builder:
    """Builds the image of each platform of one package."""

    def __init__(
        self,
        context: Context,
        what: PackageSpec,
        facts: ModelFacts,
        requirements: Sequence[Requirement],
        sandbox: str | None,
        *,
        created_s: int | None = None,
        sealed_by: str = __version__,
        compiles: bool = True,
        again: bool = False,
    ) -> None:
        """Take what a package is made from; `created_s` None: SOURCE_DATE_EPOCH, else 0.

        Made `again`, a compiled model is one whether that is faster or not.
        """
        self.context = context
        self.what = what
        self.facts = facts
        self.requirements = requirements
        self.sandbox = sandbox
        self.created_s = int(os.environ.get("SOURCE_DATE_EPOCH") or 0) if created_s is None else created_s
        self.sealed_by = sealed_by
        self.compiles = compiles
        self.server = plan.server(what, facts)
        self.examples: tuple[Example, ...] = what.examples or facts.examples
        self._compiler = Compiler(
            context, what, facts, self.examples, sandbox, self._sealed, self._bytecode_of_model, again
        )

    def build(self, lock: PlatformLock) -> Built:
        """Make the image of a platform: with a form of the model where there is one, else with the model."""
        cargo, original = self._original(lock)
        made = self._compiler.compile(original.image, lock) if self.compiles else ""
        if isinstance(made, str):
            return replace(original, proof={"kept": False, "reason": made}) if made else original
        answering = ANSWERING.get(made.form.way, ())
        bill = image.compiled(original.bill, made.form, made.layers, lock.server_interpreter, answering)
        described, was_there = self._described(bill, made.layers, cargo)
        cached = made.cached + was_there
        return Built(described, bill, self.examples, cached, original=original, proof=made.proof)

    def _original(self, lock: PlatformLock) -> tuple[Cargo, Built]:
        """Assemble, compile byte code, draw the bill, describe the image and write it."""
        context = self.context
        bases.ensure(context, self.what.base, lock.base, lock.platform)
        cargo = Cargo(
            lock=lock,
            server=self.server.name,
            base=bases.read(context, lock.base, lock.platform),
            model=self.facts.files,
            code=self.facts.code,
            model_comes=self.what.mode == "download",
            inputs=self.what.inputs,
            slim=self.what.slim,
            model_path=self.server.model_path,
            code_path=self.server.code_path,
            server_files=self.server.files,
            code_is_model=self.facts.root.is_dir() and self.facts.code == self.facts.root,
            assets=self.what.assets,
            examples=tuple(encode_example(one) for one in self.examples),
        )
        if self.what.base and self.what.base.form == "environment":
            environments.share(context, self.what.base, cargo)
        assembled = assemble(
            cargo,
            fetch=fetch_for(context, self.what, lock),
            fetch_deb=system.bring(context, lock.base, lock.platform),
            store=context.store,
            cache=context.layers,
            digests=context.digests,
            events=context.events,
        )
        compiled, reused = self._bytecode(lock, assembled.layers) if self.compiles else ([], 0)
        layers = (*assembled.layers, *compiled)
        bill = self._bill(cargo, layers, assembled.slimmed)
        described, was_there = self._described(bill, layers, cargo)
        cached = assembled.cached + reused + was_there
        return cargo, Built(
            described, bill, self.examples, cached, delivery.coming(context, self.what, self.facts)
        )

    def _described(self, bill: Bill, layers: Sequence[Layer], cargo: Cargo) -> tuple[Image, bool]:
        """Describe an image with its bill and lock; tell whether the bill was there already."""
        beside = {
            LOCK_PATH: sealed.encode(cargo.lock),
            **bases.travelling(self.context, cargo.lock.base),
        }
        last, was_there = self._sealed(bill_recipe(bill, beside))
        layers = (*layers, last)
        described = image.describe(bill, layers, self.server, created_s=self.created_s, base=cargo.base)
        return described, was_there

    def _bill(self, cargo: Cargo, layers: Sequence[Layer], slimmed: Sequence[BilledSlim] | None) -> Bill:
        digests = self.context.digests
        code_path = self.server.code_path or CODE_PATH
        code = billed(recipes.code(cargo, digests), code_path[1:])
        return image.draw(
            lading=self.sealed_by,
            name=plan.name(self.what),
            spec=self.what,
            facts=self.facts,
            model_files={one.path: digests.of(one.source) for one in self.facts.files},
            requirements=self.requirements,
            lock_digest=Digest.of(sealed.encode(cargo.lock)),
            lock=cargo.lock,
            server=self.server,
            code=BilledCode(code_path, self.facts.entry, code) if self.facts.code else None,
            examples=self.examples,
            layers=layers,
            assets=billed(recipes.assets(cargo, digests), recipes.ASSETS),
            inputs=billed_inputs(self.what, digests),
            slim=slimmed,
        )

    def _bytecode(self, lock: PlatformLock, layers: Sequence[Layer]) -> tuple[list[Layer], int]:
        """Compile what starts import: the server's, the same for every package, then the model's on top.

        A package for a platform that cannot be run here gets none: it compiles as it starts.
        """
        if problem := self.context.cannot_run(lock.platform, self.sandbox):
            self.context.events(Event("assemble", "warning", summary.of_foreign(lock.platform, problem)))
            return [], 0
        if self.server.name != NATIVE:
            roots = (*self.facts.modules, *self.server.modules)
            if lock.interpreter == NO_PYTHON or not roots:
                return [], 0
            made, was_there = self._bytecode_of_model(lock, layers, roots)
            return [made], was_there
        base = {"image", "base", "interpreter", "server"}
        below = [one for one in layers if one.kind in base or one.title == SKELETON]
        part = ("server", SERVER_PATH, self.server.modules)
        first, was_there = self._bytecode_of(lock, below, part, lock.server_interpreter)
        second, is_there = self._bytecode_of_model(lock, [*layers, first], self.facts.modules)
        return [first, second], was_there + is_there

    def _bytecode_of_model(
        self, lock: PlatformLock, layers: Sequence[Layer], roots: Sequence[str]
    ) -> tuple[Layer, bool]:
        kinds = {"image", "base", "interpreter", "server", "environment", "bytecode"}
        below = [one for one in layers if one.kind in kinds or one.title == SKELETON]
        return self._bytecode_of(lock, below, ("environment", ENVIRONMENT_PATH, roots), lock.interpreter)

    def _bytecode_of(
        self,
        lock: PlatformLock,
        below: Sequence[Layer],
        part: tuple[str, str, Sequence[str]],
        interpreter: Interpreter,
    ) -> tuple[Layer, bool]:
        """Compile what a part's modules import: its title, the path of its environment, and they."""
        title, path, roots = part
        opened = partial(
            self.context.sandbox, tuple(below), self.sandbox, platform=lock.platform, events=ignore
        )
        recipe = Recipe(
            "bytecode",
            f"byte code of the {title}",
            {
                "bytecode": title,
                "roots": sorted(set(roots)),
                "layers": sorted(str(one.diff_id) for one in below),
            },
            partial(self._compile, opened, path, roots, standard_library(interpreter)),
        )
        return self._sealed(recipe)

    def _compile(
        self,
        opened: Callable[[], Sandbox],
        path: str,
        roots: Sequence[str],
        folders: Sequence[str],
        _: Sequence[Path],
        writer: LayerWriter,
    ) -> None:
        self.context.events(Event("assemble", "step", f"compiling what {path} imports at its start"))
        with temporary_folder() as tmp:
            compiled = bytecode.make(
                opened(),
                python=f"{path}/bin/python",
                roots=roots,
                folders=(*folders, path[1:]),
                tmp=tmp,
            )
        bytecode.write(compiled, writer)

    def _sealed(self, recipe: Recipe, fetch: Fetch | None = None) -> tuple[Layer, bool]:
        """Take a layer from the cache, or make it, of packages that are fetched."""
        name = key(recipe.made_from, "gzip")
        if found := self.context.layers.get(name):
            return replace(found, kind=recipe.kind, title=recipe.title), True
        wanted = [one for one in recipe.packages if isinstance(one, LockedWheel)]
        paths = [fetch.file(one.url, one.digest, one.size_bytes) for one in wanted] if fetch else []
        layer = seal(recipe, paths, self.context.store)
        self.context.layers.put(name, layer)
        return layer, False
