import pytest

from sampan.cli.main import main
from sampan.machine.storage import metadata


def test_linuxkits_words(tmp_path):
    path = tmp_path / "a.iso"
    assert main(["metadata", "create", str(path), "some text"]) == 0
    assert path.read_bytes() == metadata.disc(b"some text")


def test_data_from_files(tmp_path):
    path = tmp_path / "a.iso"
    for name in ("user", "meta", "network"):
        (tmp_path / name).write_text(name)
    words = ["metadata", "create", "-nocloud", "-data-file", str(tmp_path / "user")]
    words += ["-meta-data", str(tmp_path / "meta"), "-network-config", str(tmp_path / "network")]
    assert main([*words, str(path)]) == 0
    assert path.read_bytes() == metadata.nocloud(b"user", b"meta", b"network")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "there is no data"),
        (["text", "--data-file", "user"], "given twice"),
        (["text", "--meta-data", "meta"], "only the form NoCloud"),
        (["--data-file", "missing"], "cannot read missing"),
    ],
)
def test_what_makes_no_sense(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["metadata", "create", "a.iso", *words]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
