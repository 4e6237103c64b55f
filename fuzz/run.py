"""Runs the fuzz targets: every parser of bytes that come from somebody else.

A target is a file `fuzz_NAME.py` with a function `one(data: bytes) -> None` that gives `data` to
a parser. A SampanError is a proper refusal; whatever else comes out is a fault. Its seeds are the files of `corpus/NAME`. Here each target gets its corpus and then
mutations of it, from a seeded random source, so that a run can be repeated:

    python fuzz/run.py                          all targets, 2000 mutations each
    python fuzz/run.py --mutations 100000 yaml  one target for longer
    python fuzz/run.py --seed 7 yaml            other mutations
    python fuzz/run.py --atheris yaml           guided by coverage, until Ctrl-C (pip install atheris)

An input that makes a target fail is kept in a file, and named.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sampan.errors import SampanError

HERE = Path(__file__).parent
INPUT_LIMIT_S = 20  # no parser may need longer for one input
MAX_BYTES = 1 << 20  # of a mutated input
INTERESTING = (
    *(bytes([value]) for value in (0x00, 0x01, 0x7F, 0x80, 0xFF)),
    b"0", b"-1", b"4294967296", b"9" * 30, b"\n", b"..", b"/", b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x80", b"{", b"[", b'"', b": ", b"\xc3\x28", b"\xed\xa0\x80",
)  # fmt: skip


class Target(NamedTuple):
    """A parser to test: its name, the function that feeds it, and the inputs to begin with."""

    name: str
    one: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


class Finding(NamedTuple):
    """An input that made a target fail, and how."""

    data: bytes
    trace: str


class Result(NamedTuple):
    """A run of one target: how many inputs it got, in how many seconds, and what was found."""

    target: Target
    inputs: int
    seconds: float
    finding: Finding | None


def targets(names: Sequence[str] = (), folder: Path = HERE) -> list[Target]:
    """The targets of `folder`; only those called one of `names`, if there are any names."""
    found = {path.stem.removeprefix("fuzz_"): path for path in sorted(folder.glob("fuzz_*.py"))}
    unknown = set(names) - set(found)
    if unknown:
        raise SystemExit(
            f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(found)}"
        )
    return [_load(name, path) for name, path in found.items() if not names or name in names]


def _load(name: str, path: Path) -> Target:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses and pickles look their module up
    spec.loader.exec_module(module)
    corpus = path.parent / "corpus" / name
    seeds = [seed.read_bytes() for seed in sorted(corpus.rglob("*")) if seed.is_file()]
    return Target(name, module.one, tuple(seeds))


def run(target: Target, mutations: int, seed: int = 0) -> Result:
    """Feed `target` its corpus and `mutations` of it, up to the first failure."""
    began = time.monotonic()
    count = 0
    finding = None
    for data in _inputs(target, mutations, seed):
        count += 1
        finding = try_one(target, data)
        if finding:
            break
    return Result(target, count, time.monotonic() - began, finding)


def try_one(target: Target, data: bytes) -> Finding | None:
    """Feed `target` one input; None when all went well."""
    try:
        with _deadline(INPUT_LIMIT_S):
            target.one(data)
    except SampanError:
        return None
    except Exception:  # noqa: BLE001  whatever comes out is what we look for
        return Finding(data, traceback.format_exc())
    return None


def _inputs(target: Target, mutations: int, seed: int) -> Iterator[bytes]:
    yield b""
    yield from target.seeds
    source = random.Random(f"{target.name} {seed}")
    pool = target.seeds or (b"",)
    for _ in range(mutations):
        yield mutate(source, pool)


def mutate(source: random.Random, pool: Sequence[bytes]) -> bytes:
    """One of `pool`, changed in one to eight places."""
    data = bytearray(source.choice(pool))
    for _ in range(source.randint(1, 8)):
        source.choice(_CHANGES)(source, data, pool)
    return bytes(data[:MAX_BYTES])


def _span(source: random.Random, data: bytes | bytearray) -> slice:
    """A piece of `data`: mostly a short one."""
    start = source.randint(0, len(data))
    return slice(start, start + int(source.expovariate(1 / 16)) + 1)


def _flip(source: random.Random, data: bytearray, pool: Sequence[bytes]) -> None:
    if data:
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)


def _overwrite(source: random.Random, data: bytearray, pool: Sequence[bytes]) -> None:
    word = source.choice(INTERESTING)
    start = source.randint(0, len(data))
    data[start : start + len(word)] = word


def _insert(source: random.Random, data: bytearray, pool: Sequence[bytes]) -> None:
    start = source.randint(0, len(data))
    data[start:start] = source.choice(INTERESTING) * source.choice((1, 1, 1, 2, 50))


def _remove(source: random.Random, data: bytearray, pool: Sequence[bytes]) -> None:
    del data[_span(source, data)]


def _repeat(source: random.Random, data: bytearray, pool: Sequence[bytes]) -> None:
    span = _span(source, data)
    data[span.start : span.start] = data[span]


def _splice(source: random.Random, data: bytearray, pool: Sequence[bytes]) -> None:
    other = source.choice(pool)
    data[_span(source, data)] = other[_span(source, other)]


def _truncate(source: random.Random, data: bytearray, pool: Sequence[bytes]) -> None:
    del data[source.randint(0, len(data)) :]


_CHANGES = (_flip, _flip, _overwrite, _overwrite, _insert, _remove, _repeat, _splice, _truncate)


@contextmanager
def _deadline(seconds: int) -> Iterator[None]:
    """Interrupt an input that takes too long: hanging is a failure."""

    def expired(*_: Any) -> None:  # noqa: ANN401  what signal gives its handlers
        raise TimeoutError(f"one input took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _guided(target: Target) -> None:
    """Let atheris choose the inputs, by the code they reach; does not return."""
    try:
        import atheris
    except ImportError:
        raise SystemExit("atheris is not installed: pip install atheris") from None
    with tempfile.TemporaryDirectory(prefix="sampan-fuzz-") as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / f"seed-{number}").write_bytes(seed)
        atheris.instrument_all()
        atheris.Setup([sys.argv[0], corpus], lambda data: _guided_one(target, data))
        atheris.Fuzz()


def _guided_one(target: Target, data: bytes) -> None:
    with suppress(SampanError):
        target.one(data)


def _keep(finding: Finding, name: str) -> Path:
    digest = hashlib.sha256(finding.data).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"sampan-fuzz-{name}-{digest}"
    path.write_bytes(finding.data)
    return path


def main() -> int:
    """The command line; the status is the number of targets that failed."""
    parser = argparse.ArgumentParser(description="Run the fuzz targets.")
    parser.add_argument("names", nargs="*", metavar="TARGET")
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true", help="guided by coverage; one target")
    options = parser.parse_args()
    chosen = targets(options.names)
    if options.atheris:
        if len(chosen) != 1:
            raise SystemExit("--atheris takes one target")
        _guided(chosen[0])
    failed = 0
    for target in chosen:
        result = run(target, options.mutations, options.seed)
        if result.finding:
            failed += 1
            print(f"{target.name}: FAILED, input kept as {_keep(result.finding, target.name)}")
            print(result.finding.trace)
        else:
            print(f"{target.name}: {result.inputs} inputs in {result.seconds:.1f} s")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
