from pathlib import Path

import pytest

from sampan.errors import DocumentError, ExitCode, SampanError
from sampan.spec import Source, load
from sampan.spec.text import Bind, Rlimit

HERE = Path(__file__).parent
PARITY = HERE.parent / "data" / "parity"
BAD = sorted((HERE / "bad").glob("*.yml"))


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_every_fault_is_told_word_for_word(path):
    with pytest.raises(DocumentError) as caught:
        load([Source.text(path.read_bytes(), path.name)])
    assert f"{caught.value}\n" == path.with_suffix(".txt").read_text()
    assert caught.value.exit_code is ExitCode.USAGE


def test_the_golden_file():
    spec = load([Source.file(PARITY / "gold.yml")])
    assert spec.kernel.cmdline == "console=ttyS0 page_poison=1"
    assert [volume.name for volume in spec.volumes] == ["blank", "img"]
    (service,) = spec.services
    assert service.binds
    assert service.binds[2] == Bind("blank", "/data")
    assert service.rlimits == (Rlimit("RLIMIT_NOFILE", 10, 20),)
    assert spec.onboot[1].uid == "svc"


def test_the_file_of_2017():
    spec = load([Source.file(PARITY / "legacy.yml")])
    assert [output.format for output in spec.outputs] == ["kernel+initrd", "iso-bios", "iso-efi"]
    assert spec.trust.image == ("mobylinux/kernel",)
    assert spec.onboot[2].command
    assert spec.onboot[2].command[-1] == "-1"
    assert spec.services[0].oom_score_adj == -800


def test_every_key_is_read():
    spec = load([Source.file(HERE / "good" / "full.yml")])
    (service,) = spec.services
    given = [name for name in service.__struct_fields__ if getattr(service, name)]
    assert set(service.__struct_fields__) - set(given) == {"onfailure"}
    assert service.capabilities == ("CAP_NET_ADMIN", "CAP_SYS_ADMIN")
    assert service.restart == "no"
    assert spec.onboot[1].capabilities == ("all",)


def test_json_is_read(read):
    spec = read('{"init": ["a"], "files": [{"path": "x", "contents": "\\u0041\\n"}]}')
    assert (spec.init, spec.files[0].contents) == (("a",), "A\n")


def test_faults_of_all_files_in_their_order(problems):
    found = problems("init: 1", "[", "onboot: 2", "")
    assert [(p.where.file, p.path) for p in found] == [
        ("0.yml", "init"),
        ("1.yml", ""),
        ("2.yml", "onboot"),
        ("3.yml", ""),
    ]


def test_an_empty_section_says_nothing(read):
    assert read("services:\ninit: [a]\nkernel: ~").services == ()


def test_packages_are_looked_up_once_each(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("init: ['@pkg:p', '@pkg:p', '@pkg:q']\n")
    asked = []

    def resolve(folder):
        asked.append(folder)
        return f"sampan/{folder.name}:1"

    spec = load([Source.file(path)], resolve_package=resolve)
    assert spec.init == ("sampan/p:1", "sampan/p:1", "sampan/q:1")
    assert asked == [tmp_path / "p", tmp_path / "q"]


def test_a_package_that_is_not_there(tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("init: ['@pkg:p', '@pkg:p']\n")

    def resolve(folder):
        raise SampanError(f"{folder}: no such package")

    with pytest.raises(DocumentError) as caught:
        load([Source.file(path)], resolve_package=resolve)
    assert [p.message for p in caught.value.problems] == [
        f"'@pkg:p': {tmp_path}/p: no such package"
    ] * 2
