"""What a checkpoint's pickle may name. Nothing that it names is ever imported; this decides what is worth an alarm."""

from __future__ import annotations

from dataclasses import dataclass

from renderers.errors import CheckpointUnsafe

__all__ = ["Global", "check_named", "is_inert"]


MAX_NAME = 200  # characters; real ones have some sixty


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


# Packages whose objects checkpoints carry (callbacks, settings, numpy's scalars): theirs become placeholders.
INERT = {
    "argparse", "collections", "lightning", "lightning_fabric", "main", "__main__", "numpy", "omegaconf", "pathlib",
    "pytorch_lightning", "taming", "torch", "torchmetrics", "typing",
}  # fmt: skip
# Packages of which nothing has any business in a checkpoint: naming one is refused, whatever the pickle does with it.
HOSTILE = {
    "_io", "_posixsubprocess", "_pickle", "asyncio", "atexit", "bdb", "builtins", "__builtin__", "code", "codeop",
    "commands", "ctypes", "dill", "cloudpickle", "functools", "gc", "importlib", "inspect", "io", "joblib", "marshal",
    "multiprocessing", "nt", "operator", "os", "pdb", "pickle", "pip", "pkgutil", "platform", "posix", "posixpath",
    "pty", "pydoc", "runpy", "setuptools", "shutil", "signal", "site", "socket", "ssl", "subprocess", "sys", "tempfile",
    "threading", "timeit", "trace", "types", "urllib", "venv", "webbrowser", "xmlrpc", "zipimport",
}  # fmt: skip
# Names that lead from one module to another, or to what runs code.
DOORS = {"builtins", "compile", "ctypes", "eval", "exec", "getattr", "importlib", "os", "pickle", "popen", "posix",
         "setattr", "shutil", "socket", "subprocess", "sys", "system"}  # fmt: skip
BUILTINS = ("builtins", "__builtin__")
HARMLESS = {"bool", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "set", "str", "tuple"}
# Parts of packages above that load, run or compile.
HOSTILE_PARTS = (
    "torch.hub", "torch.jit", "torch.load", "torch.serialization", "torch.utils", "torch.package", "torch._inductor",
    "torch._dynamo", "torch.distributed", "torch.multiprocessing", "torch.classes", "torch.ops", "torch.library",
    "torch.fx", "torch.os", "torch.sys", "torch.storage._load", "numpy.testing", "numpy.distutils", "numpy.f2py",
    "numpy.load", "numpy.save", "numpy.fromfile", "numpy.memmap", "numpy.lib", "numpy.core._", "numpy.os", "numpy.sys",
)  # fmt: skip


def is_inert(found: Global) -> bool:
    """Say whether calling `found` makes an object that a checkpoint may hold, as a class does that no door leads to."""
    package = found.module.partition(".")[0]
    if package in BUILTINS:
        return found.name in HARMLESS
    if package in ("copyreg", "copy_reg"):
        return found.name == "_reconstructor"  # how protocols 0 and 1 write an object
    if package == "_codecs":
        return found.name == "encode"  # how protocol 2 writes bytes
    return package in INERT and "." not in found.name  # a class, no method of one


def check_named(found: Global) -> None:
    """Refuse what no checkpoint has a use for.

    Nothing would come of it, since nothing is imported here; but a file that tries is not one to take weights from.

    Raises:
        CheckpointUnsafe: `found` leads to code, or is no name at all.
    """
    if len(found.module) + len(found.name) > MAX_NAME:
        raise CheckpointUnsafe(f"it names '{str(found)[:40]}...', longer than any class's name: it tries to run code")
    package = found.module.partition(".")[0]
    if package in BUILTINS and found.name in HARMLESS:
        return
    dotted = f"{found.module}.{found.name}"
    if package in HOSTILE or any(dotted == part or dotted.startswith(part) for part in HOSTILE_PARTS):
        raise CheckpointUnsafe(f"it names '{found}', which no checkpoint needs: it tries to run code")
    words = dotted.split(".")
    # torch.nn.os, x.__init__.__globals__
    by_the_way = any(word in DOORS or word.startswith("__") for word in words[1:])
    if by_the_way or not all(word.isidentifier() for word in words):
        raise CheckpointUnsafe(f"it names '{found}', which is no class of a checkpoint's: it tries to run code")
