from sampan.guest.agent.fault import AgentError, DocumentError


def test_one_except_catches_all():
    assert issubclass(DocumentError, AgentError)
