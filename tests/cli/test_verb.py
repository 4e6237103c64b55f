import importlib.util

from sampan.cli.verb import VERBS


def test_names_are_unique_and_targets_exist():
    assert len({verb.name for verb in VERBS}) == len(VERBS)
    missing = [v.target for v in VERBS if importlib.util.find_spec(v.target.split(":")[0]) is None]
    assert missing == []


def test_sections_are_not_scattered():
    sections = [verb.section for verb in VERBS]
    assert sections == sorted(sections, key=list(dict.fromkeys(sections)).index)


def test_help_is_one_short_sentence():
    assert [v.name for v in VERBS if len(v.help) > 60 or not v.help.endswith(".")] == []
