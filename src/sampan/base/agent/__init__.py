"""What both ends of the agent's channel are made of: frames, sessions, and copies of trees.

Standard library only, and of that only what is quick to import: these modules run on the host
(`sampan.machine.agent`) and, copied into the image `sampan/agent`, inside machines. They do no
I/O but that of `tree`, whose work are files.
"""
