"""Command line: ``mi-lightning fit | test | invert | audit | sweep | report``, all from YAML."""

from __future__ import annotations

import copy
import logging
import sys
import warnings
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NoReturn, cast

from jsonargparse import DefaultHelpFormatter, Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError, MIError, root_error
from mi_lightning.lightning.callbacks.progress import WholeProgress
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer, ensure_writable, same_split
from mi_lightning.targets.base import TargetError

DESCRIPTION = """Measure how much of a person a trained classifier gives away.

Train a classifier (fit), reconstruct the people it knows from it (invert), and report person by person how
recognisable the reconstructions are (audit, report). For models that you own or may test.

  mi-lightning audit --config configs/audit/att_softmax.yaml    everything at once: fit, invert, judge, report
  mi-lightning sweep --config configs/sweep/att_rounding.yaml   which strength of a defense holds, and what it costs
  mi-lightning fit --config configs/fit/att_softmax.yaml        train one classifier
  mi-lightning invert --config configs/invert/att_softmax.yaml  attack it
  mi-lightning invert --help                                    every flag of a command
  mi-lightning invert --config FILE --print_config              the whole configuration, to edit and to keep
"""


#: First line of each command's help.
SUMMARIES = {
    "fit": "Train a classifier, test it, and save it with its test accuracy.",
    "test": "Test a classifier that is saved.",
    "invert": "Reconstruct what a trained classifier knows of each person, and judge how recognisable it is.",
}


class HelpFormatter(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Types and defaults beside each flag, and the description as it was written."""


class MIArgumentParser(LightningArgumentParser):
    """Parser whose errors are one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what was wrong; :func:`main` prints it."""
        raise MIError(_one_line(message)) from ex


class MICLI(LightningCLI):
    """Command line of mi_lightning."""

    #: What ``--model`` is, and whether a class path chooses it among subclasses.
    models: ClassVar[dict[str, type[LightningModule]]] = {"fit": Classifier, "test": Classifier, "invert": Inversion}

    def __init__(self, args: ArgsType = None, *, quiet: bool = False) -> None:
        """Parse and run.

        Args:
            args: Arguments; those of the process if None.
            quiet: Whether the caller shows what an attack found.
        """
        self.quiet = quiet
        from mi_lightning.commands.audit import audit, report
        from mi_lightning.commands.sweep.run import sweep

        self.functions: dict[str, Callable[..., None]] = {"audit": audit, "sweep": sweep, "report": report}
        super().__init__(
            Classifier,
            PersonDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            trainer_class=InversionTrainer,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,  # classifiers keep plain hyperparameters of their own
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            parser_class=MIArgumentParser,
            parser_kwargs={
                "prog": "mi-lightning",
                "description": DESCRIPTION,
                "formatter_class": HelpFormatter,
                **{command: self._help(command, summary) for command, summary in SUMMARIES.items()},
            },
            args=args,
        )

    # ------------------------------------------------------------------------------------------------ parsers

    @staticmethod
    def _help(command: str, summary: str) -> dict[str, Any]:
        """What the parser of a command says of it; the list of all flags would be a screen long."""
        usage = f"mi-lightning {command} [--config FILE] [--FLAG VALUE ...]"
        return {"usage": usage, "description": summary, "formatter_class": HelpFormatter}

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the methods of the trainer that are commands, and their arguments that are not flags."""
        return {
            "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "ckpt_path", "weights_only"},
            "test": {"model", "dataloaders", "datamodule", "ckpt_path", "weights_only"},
            "invert": {"model", "datamodule"},
        }

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        self._preparing = subcommand
        return super()._prepare_subcommand_parser(klass, subcommand, **kwargs)

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add model, data (an attack needs none) and, with its many flags last, the trainer."""
        attack = self._preparing == "invert"
        parser.add_lightning_class_args(self.models[self._preparing], "model", subclass_mode=not attack)
        parser.add_lightning_class_args(PersonDataModule, "data", subclass_mode=True, required=not attack)
        parser.add_lightning_class_args(self.trainer_class, "trainer")

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add defaults and what links data and model."""
        command = self._preparing
        logger = {
            "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
            "init_args": {"save_dir": f"lightning_logs/{command}", "name": "default"},
        }
        parser.set_defaults(
            {
                "trainer.logger": logger,
                "trainer.enable_checkpointing": False,  # the file of --checkpoint is written once, at the end
                "trainer.enable_model_summary": False,
            }
        )
        if command == "invert":
            callbacks = [
                {"class_path": f"mi_lightning.lightning.callbacks.{name}"} for name in ("ResultsWriter", "Dashboard")
            ]
            parser.set_defaults(
                {"trainer.max_epochs": 1, "trainer.log_every_n_steps": 1, "trainer.callbacks": callbacks}
            )
            return
        for name in ("num_classes", "input_shape", "input_range", "class_names"):
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")
        parser.add_argument(
            "--checkpoint",
            type=str | None,
            default=None,
            help="File of the classifier: fit writes it (with its test accuracy), test reads it.",
        )
        if command == "test":
            parser.set_defaults({"trainer.logger": False})

    def _add_subcommands(self, parser: LightningArgumentParser, **kwargs: Any) -> None:
        super()._add_subcommands(parser, **kwargs)
        commands: Any = parser._subcommands_action
        for action in commands._choices_actions:
            action.help = SUMMARIES[action.dest]  # in place of the first line of Lightning's docstring
        for name, function in self.functions.items():
            summary = (function.__doc__ or "").splitlines()[0]
            subparser = self.init_parser(**self._help(name, summary))
            self._subcommand_method_arguments[name] = subparser.add_function_arguments(function)
            self._subcommand_parsers[name] = subparser
            commands.add_subcommand(name, subparser, help=summary)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, without Lightning's warning that arguments were given from Python: an audit does so on purpose."""
        self.config = parser.parse_object(args) if isinstance(args, dict | Namespace) else parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Do nothing: a checkpoint's hyperparameters must not override flags."""

    # ------------------------------------------------------------------------------------------------ commands

    def _set_seed(self) -> None:
        if self.subcommand not in self.functions:
            super()._set_seed()

    def instantiate_classes(self) -> None:
        """Make the objects of a Lightning command."""
        if self.subcommand not in self.functions:
            super().instantiate_classes()

    def _run_subcommand(self, subcommand: str) -> None:
        if subcommand in self.functions:
            config = self.parser.instantiate(self.config)[subcommand]
            self.functions[subcommand](**{key: config[key] for key in self._subcommand_method_arguments[subcommand]})
            return
        try:
            super()._run_subcommand(subcommand)  # with before_fit, after_fit, ... around it
        except TargetError:
            if subcommand == "invert" and self.model.has_result:
                self.after_invert()  # what was found until the target failed
            raise

    def instantiate_trainer(self, **kwargs: Any) -> InversionTrainer:
        """Make the trainer, with one bar for the whole run unless bars are switched off or chosen by hand."""
        config = self._get(self.config_init, "trainer")
        chosen = any(isinstance(callback, ProgressBar) for callback in config.get("callbacks") or [])
        if not config.get("logger"):
            self.save_config_callback = None  # without a logger there is no folder of the run's own to keep it in
        if config.get("enable_progress_bar") is not False and not chosen:
            self.trainer_defaults["callbacks"] = [WholeProgress()]
        return cast(InversionTrainer, super().instantiate_trainer(**kwargs))

    @property
    def checkpoint(self) -> Path | None:
        """File of the classifier."""
        name = self.config[str(self.subcommand)].get("checkpoint")
        return None if name is None else Path(name)

    def before_fit(self) -> None:
        """See that the checkpoint can be written before any time is spent."""
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")  # what is wrong with the data is told before a run folder is made
        if self.checkpoint is not None:
            if self.checkpoint.is_dir():
                raise InputError("a file to write", f"{self.checkpoint}, a folder", "--checkpoint")
            ensure_writable(self.checkpoint.parent, "--checkpoint")

    def after_fit(self) -> None:
        """Test what was trained and save it."""
        if self.trainer.interrupted:
            raise KeyboardInterrupt
        self.trainer.test(self.model, datamodule=self.datamodule, verbose=False)
        if self.checkpoint is not None and self.trainer.is_global_zero:
            self.model.training_info["fit"] = what_was_fitted(self.config["fit"].as_dict())
            save_classifier(self.model, self.checkpoint)
        self._report_test()

    def before_test(self) -> None:
        """Load the weights to test."""
        if self.checkpoint is None:
            raise MIError("expected a checkpoint to test, got none (--checkpoint)")
        trained = load_classifier(self.checkpoint, "--checkpoint")
        if type(trained) is not type(self.model):
            raise MIError(
                f"expected a checkpoint of {type(self.model).__name__}, got one of {type(trained).__name__}: "
                f"{self.checkpoint} (--checkpoint)"
            )
        if trained.input_shape != self.model.input_shape or trained.num_classes != self.model.num_classes:
            raise MIError(
                f"expected a checkpoint for input of shape {self.model.input_shape} and {self.model.num_classes} "
                f"classes, got {trained.input_shape} and {trained.num_classes}: {self.checkpoint} (--checkpoint)"
            )
        self.datamodule.prepare_data()
        self.datamodule.setup("test")
        same_split(trained.training_info.get("data"), self.datamodule.describe(), "--data")
        self.model.load_state_dict(trained.state_dict())
        self.model.training_info = trained.training_info

    def after_test(self) -> None:
        """Say how the classifier did."""
        self._report_test()

    @rank_zero_only
    def _report_test(self) -> None:
        accuracy = self.model.training_info["test_accuracy"]
        where = "" if self.checkpoint is None else f"   {self.checkpoint}"
        Console().print(f"{type(self.model).__name__}: test error {1 - accuracy:.2%}{where}", highlight=False)

    def after_invert(self) -> None:
        """Say what was found and where it lies."""
        from mi_lightning.commands.audit import show_run

        folder = self.trainer.log_dir  # asked for on every process: they agree on it by talking
        if self.trainer.is_global_zero and folder is not None and not self.quiet:
            show_run(Path(folder))
        if self.model.stop_requested:
            raise KeyboardInterrupt


class ConfigReader(MICLI):
    """Reads configurations of a command, and runs nothing.

    Args:
        command: ``"invert"`` or ``"fit"``.
    """

    def __init__(self, command: str = "invert") -> None:
        """Make the parser."""
        self.command = command
        # `fit` has no default class of a model, so its parser is made along with that of `invert`
        super().__init__(["invert"])

    def complete(self, config: Mapping[str, Any], *, check: bool = False) -> dict[str, Any]:
        """Return a configuration of the command with the default of every key that it does not name.

        Args:
            config: What a YAML file holds.
            check: Whether to make the parts, too, which looks at their numbers but opens no file.

        Raises:
            MIError: If a key or a value is wrong.
        """
        parsed = self.parser.parse_object({"subcommand": self.command, self.command: copy.deepcopy(dict(config))})
        found: dict[str, Any] = parsed.as_dict()[self.command]
        if check:
            try:
                self.parser.instantiate(parsed)
            except Exception as error:
                wrong = root_error(error)
                if wrong is None:
                    raise
                raise wrong from error
        return {key: value for key, value in found.items() if key != "config"}

    def _set_seed(self) -> None:
        """Leave the random state as it is."""

    def instantiate_classes(self) -> None:
        """Make nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""


def what_was_fitted(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the weights in a complete configuration of ``mi-lightning fit``: plain values only.

    Args:
        config: The configuration as parsed, before anything is made of it.
    """
    kept = {key: config.get(key) for key in ("seed_everything", "model", "data")}
    trainer = config.get("trainer") or {}
    kept["trainer"] = {key: trainer.get(key) for key in ("max_epochs", "max_steps", "precision", "gradient_clip_val")}
    found: dict[str, Any] = _plain(kept)
    return found


def _plain(value: Any) -> Any:
    """Return a tree of what a checkpoint may hold; what is neither a number nor text (a path, an enum) as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or type(value) in (bool, int, float, str) else str(value)


def _one_line(message: str) -> str:
    """Fold a message of many lines into one."""
    return " ".join(message.split())


def _from_lightning(error: Exception) -> bool:
    """Whether Lightning itself, not a part that it runs, found a value or a package wanting."""
    frame, module = error.__traceback__, ""
    while frame is not None:
        module, frame = frame.tb_frame.f_globals.get("__name__", ""), frame.tb_next
    return isinstance(error, ValueError | ModuleNotFoundError) and module.startswith(
        ("lightning.", "lightning_utilities.")
    )


def quieten() -> None:
    """Switch off Lightning's notes on hardware and its own products; warnings and errors still come through."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".isinstance\(treespec, LeafSpec\). is deprecated")  # lightning 2.6
    warnings.filterwarnings("ignore", message=r"The '.*_dataloader' does not have many workers")  # data are in memory


def main(args: ArgsType = None) -> None:
    """Run the command line.

    Exits with status 2 after one line on what was wrong, and with 130 after Ctrl-C.

    Args:
        args: Arguments; those of the process if None.
    """
    quieten()
    try:
        MICLI(args)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        found = root_error(error)
        if found is None and (isinstance(error, MisconfigurationException) or _from_lightning(error)):
            found = MIError(_one_line(str(error)))  # Lightning's own word for a wrong flag
        if found is None:
            raise
        Console(stderr=True, soft_wrap=True).print(f"mi-lightning: {found}", style="red", highlight=False, markup=False)
        sys.exit(2)
