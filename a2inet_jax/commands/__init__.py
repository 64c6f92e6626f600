"""The verbs of `a2inet`: functions that add their parsers, and the handlers of parsed options.

All are imported to parse any command line, so imports that take time are inside the handlers.
"""
