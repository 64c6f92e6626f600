"""`a2inet describe`: parameters and FLOPs of an experiment's heads."""

import argparse
import json

from a2inet_jax.commands.options import Parser, add_config, at_least, experiment

SUMMARY = "count the parameters and FLOPs of an experiment's heads"
EXAMPLES = (
    "a2inet describe --config=sample",
    "a2inet describe --config=dataset:konvid_1k --frames=240 --json",
)


def add_arguments(parser: Parser) -> None:
    """Declare the verb's arguments."""
    add_config(parser)
    parser.add_argument(
        "--frames",
        type=at_least(1),
        default=240,
        metavar="N",
        help="frames of the video (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.set_defaults(handler=lambda options: _run(parser, options))


def _run(parser: Parser, options: argparse.Namespace) -> int:
    config = experiment(parser, options)
    from a2inet_jax.build import backbone, build_model, networks
    from a2inet_jax.console import console, progress
    from a2inet_jax.model import cost

    widths = [backbone(getattr(config.features, name)).width for name in config.model.streams]
    names, costs = networks(config), {}
    with progress("describe") as advance:
        for done, name in enumerate(names):
            advance(name, done, len(names))
            costs[name] = cost.measure(build_model(name, config.model), widths, options.frames)
    if options.json:
        models = {name: each.as_dict() for name, each in costs.items()}
        print(json.dumps({"config": config.name, "frames": options.frames, "models": models}))
    else:
        for name, each in costs.items():
            console.print(cost.table(name, each))
    return 0
