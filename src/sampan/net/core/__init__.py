"""The stack: Ethernet frames in, decisions and frames out.

`stack.Stack` is what a runtime holds. Frames go in with `frames_received`, in batches; what
happened comes out of `events()` as values in the past tense; what is to be done is said by
methods of the stack and of its flows; what is to be sent comes out of `frames_to_send()`.
Time is an argument (`now`: seconds of any clock that does not go back), the next timer a
return value, randomness a callable.

    frames → switch → ip → tcp | udp | icmp → events        (slow path: values of net.wire)
    frames → tcp's table of flows → events                  (fast path: one unpack for a segment)

May import `net.wire`, and nothing that does I/O, reads clocks or draws random numbers.
"""
