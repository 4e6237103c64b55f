import json

import sampan
from sampan.net.runtime.control import api


def test_document_says_its_version():
    said = json.loads(api.document())
    assert said["info"]["version"] == sampan.__version__
    assert said["paths"]["/v1/flows"]["get"]["summary"] == "Connections and UDP flows"


def test_table_has_no_call_twice(network):
    routes = [(route.method, route.path) for route in api.table(network).routes]
    assert len(set(routes)) == len(routes)
    assert ("GET", "/openapi.json") in routes
