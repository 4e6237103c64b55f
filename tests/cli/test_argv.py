import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.cli import argv


@click.group()
@click.option("-q", "--quiet", is_flag=True)
@click.option("-v", "--verbose", type=int)
@click.option("--cache")
@click.option("--json", is_flag=True)
def root():
    pass


@root.command()
@click.option("-f", "--format")
@click.option("--publish", multiple=True)
@click.option("--o")
@click.option("--pull", is_flag=True)
@click.argument("files", nargs=-1)
def build():
    pass


@root.command(context_settings={"allow_interspersed_args": False})
@click.option("-t", "--tty", is_flag=True)
@click.argument("words", nargs=-1)
def execute():
    pass


@root.group()
def pkg():
    pass


@pkg.command("build")
@click.option("--cache")
@click.option("--dev", is_flag=True)
def pkg_build():
    pass


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("build a.yml", "build a.yml"),
        ("build -format tar a.yml", "build --format tar a.yml"),
        ("build -format=tar a.yml", "build --format=tar a.yml"),
        ("build -f tar", "build -f tar"),
        ("build -ftar", "build -ftar"),
        ("build a.yml -o out", "build a.yml --o out"),
        ("build -publish 1:2 -publish 3:4", "build --publish 1:2 --publish 3:4"),
        ("build -o -", "build --o -"),
        ("build -", "build -"),
        # what looks like a flag may be the value of one
        ("build -format -pull", "build --format -pull"),
        # global flags after the verb, in any spelling
        ("build -q a.yml", "-q build a.yml"),
        ("build -quiet a.yml", "--quiet build a.yml"),
        ("build a.yml --cache /c", "--cache /c build a.yml"),
        ("build -cache=/c a.yml", "--cache=/c build a.yml"),
        ("-cache /c build -json", "--cache /c --json build"),
        ("-q build", "-q build"),
        # a flag of the command itself is left to it
        ("pkg build -cache /c -dev", "pkg build --cache /c --dev"),
        # LinuxKit of 2017: -v alone
        ("-v build a.yml", "-v 2 build a.yml"),
        ("-v 3 build a.yml", "-v 3 build a.yml"),
        ("build -v", "-v 2 build"),
        ("build --verbose a.yml", "--verbose 2 build a.yml"),
        ("build -qv 3", "-qv 3 build"),
        ("-v=3 build", "-v=3 build"),
        # nothing after -- is touched
        ("build -- -format", "build -- -format"),
        # nor what belongs to a program that is to be run
        ("execute -tty ls -quiet -format", "execute --tty ls -quiet -format"),
        # mistakes are left for click, in the spelling it understands
        ("build -pubish 1:2", "build --pubish 1:2"),
        ("biuld -format tar", "biuld -format tar"),
        ("build -format", "build --format"),
        ("build a.yml -json -cache", "--json --cache"),
        ("-cache", "--cache"),
        ("", ""),
    ],
)
def test_words_become_what_click_reads(typed, read):
    assert argv.rewrite(root, typed.split()) == read.split()


WORDS = st.lists(
    st.sampled_from(
        [
            "build",
            "pkg",
            "-q",
            "-v",
            "-format",
            "-f",
            "--",
            "-",
            "",
            "-=",
            "--=",
            "a",
            "-é",
            "-json=x",
        ]
    )
    | st.text()
)


@given(WORDS)
def test_no_words_make_it_fail_or_lose_arguments(words):
    rewritten = argv.rewrite(root, words)
    lost = [word for word in words if not word.startswith("-") and word not in rewritten]
    assert lost == []
