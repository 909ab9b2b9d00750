"""The app's own functions without a browser: `python -m cli COMMAND`.

Rule 1: a command reads arguments, calls the functions the pages and the API call, and prints.
Rule 2: what can go wrong is one line on the error stream; exit codes are 0 fine, 1 a check found
something, 2 it could not be done.
"""
