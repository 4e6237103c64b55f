"""Links that are plugged into an engine: descriptors and shared memory; framings are `net.link`'s.

Each module has one kind of `engine.Link`.
"""
