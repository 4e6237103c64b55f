from sampan.net.core.state import HALF_OPEN, TRANSITIONS, Input, State, allows, diagram, step


def test_every_state_can_be_reached_and_left():
    begin = {State.OFFERED, State.SYN_SENT}
    assert set(TRANSITIONS.values()) | begin == set(State)
    for state in set(State) - {State.CLOSED}:
        assert step(state, Input.END) is State.CLOSED
    assert not any(allows(State.CLOSED, given) for given in Input)


def test_what_means_nothing_changes_nothing():
    assert step(State.ESTABLISHED, Input.ACKED) is State.ESTABLISHED
    assert step(State.CLOSED, Input.END) is State.CLOSED


def test_closing_takes_both_sides():
    """However the two FINs and their acknowledgments interleave, it ends."""
    for order in ("FINISH FIN ACKED", "FINISH ACKED FIN EXPIRE", "FIN FINISH ACKED"):
        state = State.ESTABLISHED
        for name in order.split():
            state = step(state, Input[name])
        assert state in (State.TIME_WAIT, State.CLOSED)
    assert State.ESTABLISHED not in HALF_OPEN


def test_diagram_shows_the_table():
    lines = diagram().splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert "    OFFERED --> SYN_RECEIVED: accept" in lines
    assert len(lines) == 1 + sum(given is not Input.END for _, given in TRANSITIONS)
