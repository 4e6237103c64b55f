import json


def test_schema_is_json_for_editors(sampan):
    said = sampan("schema")
    assert said.status == 0
    schema = json.loads(said.out)
    assert {"kernel", "init", "services"} <= set(schema["properties"])
