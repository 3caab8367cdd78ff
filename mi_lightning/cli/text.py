"""What the command line says of itself: everything that can be answered before torch is imported."""

from __future__ import annotations

#: The commands, and the first line of the help of each.
COMMANDS = {
    "fit": "Train a classifier, test it, and save it with its test accuracy.",
    "test": "Test a classifier that is saved.",
    "invert": "Reconstruct what a trained classifier knows of each person, and judge how recognisable it is.",
    "audit": "Fit what has no checkpoint yet, invert, judge, and write one self-contained report.",
    "sweep": "Run attacks over a grid of settings and report what each value costs and what it protects.",
    "report": "Write one self-contained HTML page about runs that are finished.",
    "study": "Write one offline page that asks people whom they recognise in the reconstructions of runs.",
}

DESCRIPTION = """Measure how much of a person a trained classifier gives away.

Train a classifier (fit), reconstruct the people it knows from it (invert), and report person by person how
recognisable the reconstructions are (audit, report). For models that you own or may test.

  mi-lightning audit --config audit/att_softmax.yaml       everything at once: fit, invert, judge, report
  mi-lightning sweep --config sweep/att_rounding.yaml      which strength of a defense holds, and what it costs
  mi-lightning fit --config classifier/att_softmax.yaml    train one classifier
  mi-lightning invert --config target/att_softmax.yaml --config attack/mi_face.yaml    attack it
  mi-lightning study --runs RUN                            a page that asks people whom they recognise
  mi-lightning invert --help                               every flag of a command
  mi-lightning invert --config FILE --print_config         the whole configuration, to edit and to keep

A configuration is a file of yours, or one of those that come with the package (as above).
"""


def help_text() -> str:
    """Return the answer to ``mi-lightning --help``."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return f"usage: mi-lightning COMMAND [--config FILE] [--FLAG VALUE ...]\n\n{DESCRIPTION}\ncommands:\n{commands}\n"
