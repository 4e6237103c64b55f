import pytest

from sampan.errors import (
    DocumentError,
    ExitCode,
    Problem,
    SampanError,
    ToolMissingError,
    UnsupportedError,
    UsageError,
    Where,
)


def test_exit_statuses_are_those_of_the_documentation():
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0, "FAILED": 1, "USAGE": 2, "TOOL_MISSING": 3, "BUG": 70, "INTERRUPTED": 130,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code"),
    [(SampanError, 1), (UsageError, 2), (ToolMissingError, 3)],
)
def test_error_carries_its_status_and_hint(error, code):
    raised = error("it broke", hint="mend it")
    assert (str(raised), raised.hint, raised.exit_code) == ("it broke", "mend it", code)
    assert error("it broke").hint is None


def test_unsupported_says_who_cannot_what_and_why():
    error = UnsupportedError("snapshots", "hyperkit", "it has none", instead="use qemu")
    assert str(error) == "hyperkit cannot do snapshots: it has none"
    assert error.hint == "use qemu"
    assert error.exit_code == 1


def test_place_counts_from_one():
    assert str(Where("web.yml", 3, 7)) == "web.yml:3:7"


def test_problem_shows_its_line_with_a_caret_and_a_hint():
    where = Where("web.yml", 3, 5, "    imag: nginx\n")
    problem = Problem("services[0]", "unknown key 'imag'", where, "did you mean 'image'?")
    assert problem.render() == (
        "web.yml:3:5: services[0]: unknown key 'imag'\n"
        "        imag: nginx\n"
        "        ^\n"
        "    did you mean 'image'?"
    )


def test_tabs_do_not_move_the_caret():
    lines = Problem("", "bad", Where("f", 1, 3, "\t\tx")).render().splitlines()
    assert lines[1].index("x") == lines[2].index("^")


def test_problem_without_a_place_is_one_line():
    assert Problem("kernel.image", "is missing").render() == "kernel.image: is missing"
    assert Problem("", "is empty").render() == "is empty"


def test_document_error_reports_every_fault():
    error = DocumentError([Problem("a", "one"), Problem("b", "two")])
    assert str(error) == "a: one\nb: two"
    assert error.exit_code == ExitCode.USAGE
    assert [problem.path for problem in error.problems] == ["a", "b"]
