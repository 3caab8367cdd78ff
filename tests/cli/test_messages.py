"""What the parser says is told as our own errors are: what was expected, what was given, which flag to change."""

import pytest

from mi_lightning.cli.messages import plain
from mi_lightning.cli.runner import run
from mi_lightning.errors import MIError, root_error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["invert", "--model.beta", "many"], "expected int or null, got many (--model.beta)"),
        (["invert", "--model.restarts", "many"], "expected int, got many (--model.restarts)"),
        (
            ["invert", "--model.space", "Nope"],
            "expected the class path of a Space, got Nope (--model.space, see --model.space.help)",
        ),
        (["invert", "--model.access", "grey"], "expected one of white_box, black_box, got grey (--model.access)"),
        (
            ["invert", "--model.priors+=mi_lightning.attacks.priors.L2", "--model.priors.wieght", "1"],
            "expected a key that is known there, got wieght (--model.priors.wieght)",
        ),
        (["invert", "--model.labels", "[[1]]"], "expected str or int, got [[1]] (--model.labels)"),
        (["fit"], "expected --data and --model, or a --config that has them, got none (mi-lightning fit --help)"),
        (["report"], "expected --runs, or a --config that has them, got none (mi-lightning report --help)"),
    ],
)
def test_a_message_of_the_parser_names_the_flag(arguments, message):
    with pytest.raises(MIError) as caught:
        run(arguments)
    assert str(caught.value) == message


def test_a_message_that_is_not_known_stays():
    assert plain("unrecognized arguments: --foo 3", "fit") == "unrecognized arguments: --foo 3"


def test_a_wrong_number_of_a_callback_names_its_flag():
    flags = ["--trainer.callbacks+=mi_lightning.lightning.callbacks.Dashboard", "--trainer.callbacks.every", "0"]
    with pytest.raises(ValueError, match="every >= 1") as caught:
        run(["invert", "--model.classifier_ckpt", "none.ckpt", *flags])
    assert str(root_error(caught.value)) == "expected every >= 1, got 0 (--trainer.callbacks.0.init_args.every)"
