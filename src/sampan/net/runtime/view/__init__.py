"""What is seen of a network's traffic, and who may interfere with it.

    flowtable    the flows there are, and what became of those that are over
    eventlog     what happened, to be read again and followed
    httpview     requests and responses in clear-text flows; harfile writes them down
    capture      frames into pcapng files; recent keeps the last of them in memory
    inquiry      asks the hooks of `net.hook`; hooked carries out what they answer
    hookfile     hooks out of a Python file; policyfile a policy out of a YAML file

All of it belongs to the thread of the network's loop, and all of it is bounded: what is not
taken is forgotten, the oldest first.
"""
