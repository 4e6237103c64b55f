import json


def test_names(sampan, network):
    assert sampan("net", "dns", "add", "DB.test.", "192.168.65.9", "fd00::9") == (0, "", "")
    assert sampan("net", "dns", "ls").out == (
        "NAME     ADDRESSES\ndb.test  192.168.65.9, fd00::9\n"
    )
    said = json.loads(sampan("net", "dns", "ls", "--json").out)
    assert said == {"name": "db.test", "addresses": ["192.168.65.9", "fd00::9"]}
    assert sampan("net", "dns", "rm", "db.test") == (0, "", "")
    assert sampan("net", "dns", "ls", "--json").out == ""


def test_what_cannot_be_a_name(sampan, network):
    said = sampan("net", "dns", "add", "db.test", "web")
    assert (said.status, "cannot be a name" in said.err) == (2, True)
    said = sampan("net", "dns", "rm", "db.test")
    assert said.status == 1
    assert said.err.startswith("sampan: the name db.test was not added\n")
