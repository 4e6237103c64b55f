"""Every fuzz target, over its corpus and a few seeded mutations; and the runner itself."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
MUTATIONS = 300


def _load_runner():
    spec = importlib.util.spec_from_file_location("fuzz_runner", FUZZ / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


runner = _load_runner()
NAMES = [path.stem.removeprefix("fuzz_") for path in sorted(FUZZ.glob("fuzz_*.py"))]


@pytest.mark.parametrize("name", NAMES)
def test_target_survives(name):
    [target] = runner.targets([name])
    assert target.seeds, f"fuzz/corpus/{name} is empty"
    result = runner.run(target, MUTATIONS)
    assert result.finding is None, f"{result.finding.data[:200]!r}\n{result.finding.trace}"
    assert result.inputs == 1 + len(target.seeds) + MUTATIONS


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "fuzz_zero.py").write_text("def one(data):\n    1 / (b'bad' not in data)\n")
    (tmp_path / "corpus" / "zero").mkdir(parents=True)
    (tmp_path / "corpus" / "zero" / "a").write_bytes(b"good")
    return tmp_path


def test_a_failure_is_found_and_shown(folder):
    (folder / "corpus" / "zero" / "b").write_bytes(b"a bad one")
    [target] = runner.targets(folder=folder)
    result = runner.run(target, 10)
    assert result.inputs == 3
    assert result.finding.data == b"a bad one"
    assert "ZeroDivisionError" in result.finding.trace


def test_runs_can_be_repeated(folder):
    [target] = runner.targets(folder=folder)
    first, again, other = (list(runner._inputs(target, 50, seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_an_input_that_hangs_is_a_failure(folder, monkeypatch):
    monkeypatch.setattr(runner, "INPUT_LIMIT_S", 1)
    target = runner.Target("hang", lambda data: [None for _ in iter(int, 1)], ())
    assert "took longer than 1 s" in runner.try_one(target, b"").trace


def test_mutations_stay_bounded():
    source = random.Random(0)
    assert len(runner.mutate(source, [b"a" * (runner.MAX_BYTES + 5)])) <= runner.MAX_BYTES


def test_unknown_target_is_named(folder):
    with pytest.raises(SystemExit, match="no such target: nothing; there are zero"):
        runner.targets(["nothing"], folder)
