"""The command line: `python -m oracle COMMAND`."""

import argparse
import importlib
import sys

COMMANDS = {
    "report": "compare every stage with CLASS and name the first that departs",
    "sweep": "errors over a broad prior, beside the defaults of CLASS and CAMB",
    "robust": "points of the prior where anything fails",
    "gate": "exit 0 only if a stated criterion holds at freshly drawn points",
    "ladder": "how far each precision setting is from convergence",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs a command (a module of this package with add_arguments and main); returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    raw = argparse.RawDescriptionHelpFormatter
    listing = "\n".join(f"  {name:8s} {text}" for name, text in COMMANDS.items())
    epilog = f"commands:\n{listing}\n\n`python -m oracle COMMAND --help` describes each."
    parser = argparse.ArgumentParser(prog="python -m oracle", epilog=epilog, formatter_class=raw)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=", ".join(COMMANDS))
    name = parser.parse_args(arguments[:1]).command
    module = importlib.import_module(f"oracle.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m oracle {name}", description=module.__doc__, formatter_class=raw)
    module.add_arguments(parser)
    return module.main(parser.parse_args(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main())
