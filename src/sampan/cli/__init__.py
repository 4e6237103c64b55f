"""The command line: the only package that reads the environment, prints, or exits.

`main` is the entry, `verb` the table of commands; each verb has a module of its own that is
imported when it is used. Verbs turn flags into values, call a kit, and show what it returns;
they contain no other logic.
"""
