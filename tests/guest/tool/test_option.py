import pytest

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import option

DEFAULTS = {"label": "", "type": "ext4"}


@pytest.mark.parametrize(
    ("words", "values", "flags", "rest"),
    [
        ([], DEFAULTS, set(), []),
        (["-label", "data", "/dev/vda"], {"label": "data", "type": "ext4"}, set(), ["/dev/vda"]),
        (["--label=a=b", "-force"], {"label": "a=b", "type": "ext4"}, {"force"}, []),
        (["-force=false", "x", "-label"], DEFAULTS, set(), ["x", "-label"]),
        (["-"], DEFAULTS, set(), ["-"]),
    ],
)
def test_gos_options(words, values, flags, rest):
    assert option.parse(words, DEFAULTS, ("force",)) == (values, flags, rest)


@pytest.mark.parametrize("words", [["-x"], ["-label"], ["-x=1"]])
def test_what_makes_no_sense(words):
    with pytest.raises(AgentError):
        option.parse(words, DEFAULTS, ("force",))


def test_defaults_stay_as_they_are():
    option.parse(["-label", "x"], DEFAULTS)
    assert DEFAULTS["label"] == ""
