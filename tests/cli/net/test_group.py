from sampan.cli.net import group


def test_each_verb_says_what_it_does():
    verbs = group.command.commands
    assert {"serve", "attach", "expose", "flows", "capture", "shutdown"} <= set(verbs)
    assert [name for name, verb in verbs.items() if not verb.get_short_help_str()] == []


def test_help_lists_them(sampan):
    said = sampan("net", "--help")
    assert said.status == 0
    assert "  capture " in said.out
