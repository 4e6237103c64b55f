"""Bundles on disk, as an image has them below /containers."""

import json

import pytest


@pytest.fixture
def make_bundle(tmp_path):
    """Writes a bundle's documents and returns its path."""

    def make(label="000-one", *, annotations=None, runtime=None, section="onboot", args=("true",)):
        path = tmp_path / "containers" / section / label
        path.mkdir(parents=True)
        config = {
            "ociVersion": "1.2.1",
            "process": {"args": list(args), "cwd": "/"},
            "root": {"path": "rootfs"},
            "annotations": annotations or {},
        }
        (path / "config.json").write_text(json.dumps(config))
        if runtime is not None:
            (path / "runtime.json").write_text(json.dumps(runtime))
        return str(path)

    return make
