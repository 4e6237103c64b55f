"""Room for the 9P kit: file trees served over a wire. Nothing is here yet.

Planned: the codecs of 9P2000, .u and .L (`wire`), a session without I/O (`session`), client
and server, and trees to serve, from folders to programs. It will stand alone: only `base` and
`errors` below it.
"""
