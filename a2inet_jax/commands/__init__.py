"""The verbs of `a2inet`: functions that declare them, and their handlers, whose docstrings are the help.

All are imported to parse any command line, so imports that take time are inside the handlers.
"""
