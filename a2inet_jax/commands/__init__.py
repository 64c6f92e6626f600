"""The verbs of `a2inet`: a module each, with SUMMARY, EXAMPLES and `add_arguments(parser)`.

All of them are imported to parse any command line, so imports that take time are inside the functions.
"""
