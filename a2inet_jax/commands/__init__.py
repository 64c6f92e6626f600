"""The verbs of `a2inet`, a module each: SUMMARY, EXAMPLES, `add_arguments(parser)` and `run(options)`.

All of them are imported to parse any command line, so imports that take time are inside the functions.
"""
