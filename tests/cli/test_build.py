import json

import pytest

from sampan.cli import build
from sampan.errors import UsageError

WEB = """\
kernel:
  image: sampan/kernel
  cmdline: console=ttyS0
init: [sampan/init]
services:
  - name: nginx
    image: nginx:alpine
"""


@pytest.fixture
def web(tmp_path):
    path = tmp_path / "web.yml"
    path.write_text(WEB)
    return path


def test_dry_run_prints_the_merged_file(sampan, web, tmp_path):
    (tmp_path / "more.yml").write_text("init: [extra/init]\n")
    said = sampan("build", "-dry-run", web, "more.yml")
    assert (said.status, said.err) == (0, "")
    assert "sampan/init" in said.out
    assert "extra/init" in said.out
    (tmp_path / "again.yml").write_text(said.out)
    assert sampan("build", "--dry-run", "again.yml").out == said.out


def test_dry_run_as_json(sampan, web):
    said = sampan("build", "--dry-run", "--json", web)
    assert json.loads(said.out)["init"] == ["sampan/init"]


def test_faults_of_the_file_are_wrong_usage(sampan, web):
    web.write_text(WEB.replace("image: nginx", "imag: nginx"))
    said = sampan("build", "web.yml")
    assert said.status == 2
    assert "web.yml:7:5" in said.err
    assert "image" in said.err
    problems = sampan("build", "web.yml", "-json").error["problems"]
    assert {problem["line"] for problem in problems} <= {6, 7}


def test_missing_file(sampan):
    said = sampan("build", "no.yml")
    assert said.status in (1, 2)
    assert "no.yml" in said.err


def test_no_file(sampan):
    assert sampan("build").status == 2


@pytest.mark.parametrize(
    ("words", "default", "formats"),
    [
        ((), ("kernel+initrd",), ("kernel+initrd",)),
        (("tar",), ("kernel+initrd",), ("tar",)),
        (("kernel+initrd, tar", "tar"), (), ("kernel+initrd", "tar")),
    ],
)
def test_formats(words, default, formats):
    assert build.chosen_formats(words, default) == formats


@pytest.mark.parametrize(
    ("name", "message"),
    [("iso-efi", "the format iso-efi is not there yet"), ("tarr", "there is no format 'tarr'")],
)
def test_formats_that_are_not_there(name, message):
    with pytest.raises(UsageError, match=message) as caught:
        build.chosen_formats([name], ())
    assert caught.value.hint == "this version writes kernel+initrd and tar"


@pytest.mark.parametrize(
    "words", [("--docker",), ("--input-tar", "x.tar"), ("-size", "1G")], ids=lambda words: words[0]
)
def test_flags_of_later_versions(sampan, web, words):
    said = sampan("build", *words, web)
    assert said.status == 2
    assert "is not there yet" in said.err
