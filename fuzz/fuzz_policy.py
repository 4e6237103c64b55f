"""Fuzz target: policy files. What is read must be a policy that can decide."""

from __future__ import annotations

from sampan.errors import DocumentError
from sampan.net.runtime.view import policyfile
from sampan.net.services.policy import Protocol, Target

_TARGET = Target(address="192.0.2.1", port=443, protocol=Protocol.TCP, names=("a.example",))


def one(data: bytes) -> None:
    """Read `data`; anything but a DocumentError whose faults have a place is a finding."""
    try:
        policy = policyfile.parse(data.decode("utf-8", "replace"), "input")
    except DocumentError as error:
        if any(each.where is None for each in error.problems):
            raise AssertionError(f"a fault without a place: {error}") from error
        return
    policy.decide(_TARGET)
    policy.may_resolve("a.example")
