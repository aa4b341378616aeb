"""What may be wrong on this machine, before a build meets it.

finding.py    what a check looks at, and what it found
home.py       the folder where everything is kept, and its file system
stored.py     what lies in the store: its form, index, locks, debris, projects
engines.py    Python, engines beside what was locked, the compiler
sharing.py    remotes, keys, tokens, clocks
checks.py     the table of them all
"""
