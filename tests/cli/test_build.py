import io
import json
import subprocess
import sys
import tarfile

import pytest

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


def test_faults_that_show_later_have_their_lines_too(sampan, web, tmp_path):
    web.write_text("files:\n  - path: a\n    source: /no/such\n")
    said = sampan("build", web)
    assert said.status == 2
    assert "web.yml:3:13: files[0].source: /no/such: no such file" in said.err
    web.write_text("services:\n  - name: a\n    image: 127.0.0.1:1/a:1\n")
    said = sampan("build", web)
    assert said.status == 1
    assert "web.yml:3:12: services[0].image: " in said.err


def test_missing_file(sampan):
    said = sampan("build", "no.yml")
    assert said.status in (1, 2)
    assert "no.yml" in said.err


def test_no_file(sampan):
    assert sampan("build").status == 2


@pytest.mark.parametrize(
    ("name", "status", "message"),
    [("iso-efi", 1, "the format iso-efi"), ("tarr", 2, "there is no format 'tarr'")],
)
def test_formats_that_are_not_there(sampan, web, name, status, message):
    said = sampan("build", "-f", f"tar, {name}", web)
    assert said.status == status
    assert message in said.err
    assert "kernel+initrd" in said.err  # what there is


def test_o_stands_alone(sampan, web):
    said = sampan("build", "--o", "x.tar", "--name", "y", web)
    assert said.status == 2
    assert "--o says where the output goes" in said.err


def test_o_never_takes_the_place_of_what_is_built_from(sampan, web):
    before = web.read_bytes()
    said = sampan("build", "--o", f"{web.parent}/./{web.name}", web)
    assert said.status == 2
    assert "is what is built from; the output would take its place" in said.err
    assert web.read_bytes() == before


def test_output_folder_must_be_there(sampan, web):
    said = sampan("build", "--dir", "nowhere", web)
    assert said.status == 2
    assert "mkdir -p nowhere" in said.err


def test_unknown_architecture(sampan, web):
    said = sampan("build", "--arch", "pdp11", web)
    assert said.status == 2
    assert "unknown architecture 'pdp11'" in said.err


FILES = """\
files:
  - {path: etc/motd, contents: hello, mode: "0644"}
"""


@pytest.fixture
def files(tmp_path):
    path = tmp_path / "files.yml"
    path.write_text(FILES)
    return path


def test_a_system_of_files_only(sampan, files, tmp_path):
    said = sampan("build", "-q", "-format", "tar,kernel+initrd", "-dir", tmp_path, files)
    assert (said.status, said.out, said.err) == (0, "", "")
    said = sampan("build", "-format", "tar,kernel+initrd", "-dir", tmp_path, files)
    assert said.out.split() == [str(tmp_path / "files.tar"), str(tmp_path / "files-initrd.img")]
    with tarfile.open(tmp_path / "files.tar") as tar:
        assert "etc/motd" in tar.getnames()


def test_components_are_listed_each_time(sampan, files):
    """On stderr: stdout has the outputs, and nothing else."""
    for _ in range(2):
        said = sampan("build", "--format", "tar", files)
        assert (said.out, said.err) == ("files.tar\n", "file       /etc/motd\n")
        said = sampan("build", "--json", "--format", "tar", files)
        assert json.loads(said.err) == {"event": "note", "message": "file       /etc/motd"}


def test_names_and_json(sampan, files, tmp_path):
    said = sampan("build", "--json", "--name", "x", "--format", "tar", files)
    assert [json.loads(line) for line in said.out.splitlines()] == [{"output": "x.tar"}]
    assert sampan("build", "-q", "--o", "y.tar", files).out == ""
    assert (tmp_path / "x.tar").read_bytes() == (tmp_path / "y.tar").read_bytes()


def test_standard_output(files, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sampan", "--cache", tmp_path / "c", "build", "--o", "-", files],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert "etc/motd" in tar.getnames()


@pytest.mark.parametrize(
    ("name", "magic"), [("zstd", b"\x28\xb5\x2f\xfd"), ("gzip", b"\x1f\x8b"), ("none", b"0707")]
)
def test_compression(sampan, files, tmp_path, name, magic):
    assert sampan("build", "-compression", name, files).status == 0
    assert (tmp_path / "files-initrd.img").read_bytes().startswith(magic)


def test_times_follow_source_date_epoch(sampan, files, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert sampan("build", "--format", "tar", files).status == 0
    with tarfile.open(tmp_path / "files.tar") as tar:
        assert {member.mtime for member in tar} == {1000000000}


@pytest.mark.parametrize(
    "words", [("--docker",), ("--input-tar", "x.tar"), ("-size", "1G")], ids=lambda words: words[0]
)
def test_flags_of_later_versions(sampan, web, words):
    said = sampan("build", *words, web)
    assert said.status == 2
    assert "is not there yet" in said.err
