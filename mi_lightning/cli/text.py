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
    "verify": "Check that every file of a run or an audit is as it was written, and compute its figures anew.",
    "study": "Write one offline page that asks people whom they recognise in the reconstructions of runs.",
    "doctor": "Print what is installed here and what it can do, for a report of a fault.",
}

#: What the help of a command says below its first line.
MORE = {
    "verify": """Every file below RUN is compared with its SHA-256 in RUN/manifest.json, which is written last:
a changed byte, a missing and an added file are found. Then every figure that the files can give is computed anew:
the summary of each run from its rows and arrays, and what an audit says of its runs.

Exit status 0: everything holds. 3: it does not; one line says what is wrong with each file or figure. 2: nothing
could be checked, as where there is no manifest.

This is no signature. It shows accidents and careless edits, not forgery: who can change the files can make the
manifest anew. Publish the SHA-256 of manifest.json, which is printed, where they cannot change it, and check it:

  mi-lightning verify lightning_logs/audit --sha256 64_HEXADECIMAL_DIGITS""",
}

#: Commands that take the folder of a run or an audit as it stands, without a flag.
OF_A_RUN = ("verify", "study")

DESCRIPTION = """Measure how much of a person a trained classifier gives away.

Train a classifier (fit), reconstruct the people it knows from it (invert), and report person by person how
recognisable the reconstructions are (audit, report). For models that you own or may test.

  mi-lightning audit --config audit/att_softmax.yaml       everything at once: fit, invert, judge, report
  mi-lightning sweep --config sweep/att_rounding.yaml      which strength of a defense holds, and what it costs
  mi-lightning fit --config classifier/att_softmax.yaml    train one classifier
  mi-lightning invert --config target/att_softmax.yaml --config attack/mi_face.yaml    attack it
  mi-lightning verify lightning_logs/audit                 are its files and figures as they were written?
  mi-lightning study lightning_logs/audit                  a page that asks people whom they recognise
  mi-lightning fit --import mynet --config mine.yaml       a class of your own, of mynet.py beside it
  mi-lightning invert --help                               every flag of a command
  mi-lightning invert --config FILE --print_config         the whole configuration, to edit and to keep

A configuration is a file of yours, or one of those that come with the package (as above).
"""


def help_text() -> str:
    """Return the answer to ``mi-lightning --help``."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return f"usage: mi-lightning COMMAND [--config FILE] [--FLAG VALUE ...]\n\n{DESCRIPTION}\ncommands:\n{commands}\n"
