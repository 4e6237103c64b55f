"""Room for the data kit: a versioned store of small values. Nothing is here yet.

Planned: a store protocol with a Git and an in-memory implementation, merges, watches, and a
view of it as a 9P file tree. It will know nothing of images or machines.
"""
