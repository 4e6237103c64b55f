"""A file server for guests: one folder of the host, as FUSE requests on a vhost-user device's rings.

Theory of operation. Everything that the guest knows is a node: an O_PATH descriptor of the host,
reached from its folder's descriptor by one name at a time, never through a link (`node`). What
is done with a node is done through `/proc/self/fd/N`, which leads to it and nowhere else. So
neither a name nor a race of the host's or the guest's making leads out of the folder. `server`
has the requests; what they do is in `entry` (names), `attribute`, `file` and `folder`; what a
guest sees of owners is up to `owner`; `teller` is for tasks of the guest that only pretend.
"""
