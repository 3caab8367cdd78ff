"""The parsers of all commands, and what happens between the arguments and a running trainer: ``LightningCLI``."""

from __future__ import annotations

from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, NoReturn, cast

from jsonargparse import DefaultHelpFormatter, Namespace
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from mi_lightning.classifiers.base import Classifier
from mi_lightning.cli import imports
from mi_lightning.cli.config import explain, run_name, with_configs_found
from mi_lightning.cli.messages import plain
from mi_lightning.cli.places import Places
from mi_lightning.cli.text import COMMANDS, DESCRIPTION, DRY_RUN, MORE, OF_A_RUN
from mi_lightning.commands import fit, invert, test
from mi_lightning.commands.audit import audit
from mi_lightning.commands.base import Preview, Runner
from mi_lightning.commands.dry_run import preview_fit, preview_invert, preview_test
from mi_lightning.commands.erase import erase
from mi_lightning.commands.report import report
from mi_lightning.commands.study import study
from mi_lightning.commands.sweep.command import sweep
from mi_lightning.commands.verify import verify
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import writing_nothing
from mi_lightning.lightning.callbacks import Dashboard, ResultsWriter, WholeProgress
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets.base import TargetError


class HelpFormatter(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Types and defaults beside each flag, and the description as it was written."""


class MIArgumentParser(LightningArgumentParser):
    """Parser whose errors are one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what was wrong; :func:`mi_lightning.cli.main.main` prints it."""
        raise MIError(" ".join(message.split())) from ex


class MICLI(LightningCLI):
    """Command line of mi_lightning."""

    #: Commands whose flags are read; that of the arguments if empty.
    wanted: set[str] = set()  # noqa: RUF012  # replaced, never changed
    #: What ``--model`` is, and whether a class path chooses it among subclasses.
    models: ClassVar[dict[str, type[LightningModule]]] = {"fit": Classifier, "test": Classifier, "invert": Inversion}

    #: Commands that are functions.
    functions: ClassVar[dict[str, Callable[..., None]]] = {
        "audit": audit,
        "sweep": sweep,
        "report": report,
        "verify": verify,
        "erase": erase,
        "study": study,
    }

    trainer: InversionTrainer

    def __init__(self, args: list[str], *, runner: Runner | None = None, quiet: bool = False) -> None:
        """Parse and run.

        Args:
            args: Arguments, the command first.
            runner: Runs the commands that a command consists of.
            quiet: Whether the caller shows what an attack found.
        """
        self.runner, self.quiet = runner, quiet
        args, self.configs = with_configs_found(args)
        self.wanted = self.wanted or set(args[:1]) & set(COMMANDS) or set(COMMANDS)
        with imports.imported(args) as args:  # before their classes are looked up, and while a command runs others
            self._parse_and_run(args)

    def _parse_and_run(self, args: list[str]) -> None:
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
                **{command: self._help(command) for command in self.subcommands()},
            },
            args=args,
        )

    # ------------------------------------------------------------------------------------------------ parsers

    @staticmethod
    def _help(command: str) -> dict[str, Any]:
        """What the parser of a command says of it; the list of all flags would be a screen long."""
        wanted = OF_A_RUN.get(command, "[--config FILE]")
        usage = f"mi-lightning {command} {wanted} [--FLAG VALUE ...]"
        description = "\n\n".join(filter(None, (COMMANDS[command], MORE.get(command))))
        return {"usage": usage, "description": description, "formatter_class": HelpFormatter}

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the methods of the trainer that are commands, and their arguments that are not flags."""
        return {
            "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "ckpt_path", "weights_only"},
            "test": {"model", "dataloaders", "datamodule", "ckpt_path", "weights_only"},
            "invert": {"model", "datamodule"},
        }

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        if subcommand not in self.wanted:  # its flags take a second to read off the classes, and nobody asks
            self._subcommand_method_arguments[subcommand] = []
            empty: LightningArgumentParser = self.init_parser(**kwargs)
            return empty
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
        parser.add_argument(f"--{imports.KEY}", type=list[str] | str, default=[], help=imports.HELP)
        parser.add_argument("--dry_run", type=bool, default=False, help=DRY_RUN)
        parser.set_defaults(
            {
                "trainer.logger": run_logger(
                    f"lightning_logs/{command}", run_name(self.configs, "classifier" if command == "fit" else "")
                ),
                "trainer.enable_checkpointing": False,  # the file of --checkpoint is written once, at the end
                "trainer.enable_model_summary": False,
            }
        )
        if command == "invert":
            parser.set_defaults({"trainer.max_epochs": 1, "trainer.log_every_n_steps": 1})
            return
        for name in ("num_classes", "input_shape", "input_range", "class_names"):
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")
        parser.link_arguments("data", "model.init_args.sample_rate", _rate_of, apply_on="instantiate")
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
            action.help = COMMANDS[action.dest]  # in place of the first line of Lightning's docstring
        for name, function in self.functions.items():
            subparser = self.init_parser(**self._help(name))
            arguments = subparser.add_function_arguments(function, skip={"runner"}, as_positional=name in OF_A_RUN)
            subparser.add_argument(f"--{imports.KEY}", type=list[str] | str, default=[], help=imports.HELP)
            self._subcommand_method_arguments[name] = arguments
            self._subcommand_parsers[name] = subparser
            commands.add_subcommand(name, subparser, help=COMMANDS[name])

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse; arguments in which a name of the released layout stands are answered with the new one."""
        self.config = self._parsed(parser, cast(list[str], args))

    def _parsed(self, parser: LightningArgumentParser, args: list[str]) -> Namespace:
        try:
            return parser.parse_args(args)
        except MIError as error:
            if found := explain(args[0], args[1:]):
                raise found from None
            if isinstance(error, InputError) or (said := plain(str(error), args[0], args[1:])) == str(error):
                raise
            raise MIError(said) from None

    def _parse_ckpt_path(self) -> None:
        """Do nothing: a checkpoint's hyperparameters must not override flags."""

    # ------------------------------------------------------------------------------------------------ objects

    def _set_seed(self) -> None:
        if self.subcommand not in self.functions:
            super()._set_seed()

    def instantiate_classes(self) -> None:
        """Make the objects of a command, and remember what stands where."""
        self.places = self._places(self.config)
        dry = self.subcommand not in self.functions and self.config[self.subcommand].dry_run
        with self.places.flags(), writing_nothing() if dry else nullcontext():
            self.config_init = self.parser.instantiate(self.config, instantiators=[(self.places.make, object, True)])
            if self.subcommand not in self.functions:
                self.datamodule = self._get(self.config_init, "data")
                self.model = self._get(self.config_init, "model")
                self.trainer = self.instantiate_trainer()
                self.places.note(self.trainer, "trainer")

    def _places(self, config: Namespace) -> Places:
        """The places of a whole configuration."""
        command = config["subcommand"]
        groups = {"trainer": self.trainer_class, "model": self.models.get(command, Inversion)}
        return Places(config[command].clone(with_meta=False).as_dict(), cast(dict[str, type], groups))

    def instantiate_trainer(self, **kwargs: Any) -> InversionTrainer:
        """Make the trainer, with what every run needs unless it was chosen by hand or switched off.

        That is one bar for the whole run, and for an attack the writer of its results and the dashboard.
        """
        config = self._get(self.config_init, "trainer")
        chosen = config.get("callbacks") or []
        added: list[Callback] = []
        if not config.get("logger"):
            self.save_config_callback = None  # without a logger there is no folder of the run's own to keep it in
        elif self.subcommand == "invert":
            added += [
                make() for make in (ResultsWriter, Dashboard) if not any(isinstance(each, make) for each in chosen)
            ]
        if config.get("enable_progress_bar") is not False and not any(isinstance(each, ProgressBar) for each in chosen):
            added.append(WholeProgress())
        self.trainer_defaults["callbacks"] = added
        return cast(InversionTrainer, super().instantiate_trainer(**kwargs))

    # ------------------------------------------------------------------------------------------------ commands

    def _run_subcommand(self, subcommand: str) -> None:
        with self.places.flags():
            if subcommand in self.functions:
                config = self.config_init[subcommand]
                arguments = {key: config[key] for key in self._subcommand_method_arguments[subcommand]}
                if subcommand not in ("report", *OF_A_RUN):
                    arguments["runner"] = self.runner
                self.functions[subcommand](**arguments)
                return
            if self.config[subcommand].dry_run:
                with writing_nothing():
                    self.preview = self._preview(subcommand)
                if not self.quiet:
                    self.preview.tell()
                return
            try:
                super()._run_subcommand(subcommand)  # with before_fit, after_fit, ... around it
            except TargetError:
                if subcommand == "invert" and self.model.has_result:
                    self.after_invert()  # what was found until the target failed
                raise

    def _preview(self, subcommand: str) -> Preview:
        """Check everything that can be wrong with a command, and say what it would do."""
        if subcommand == "invert":
            self.before_invert()
            self.trainer.prepare(**self._prepare_subcommand_kwargs(subcommand))
            return preview_invert(self.trainer, self.model)
        if subcommand == "fit":
            self.before_fit()
            return preview_fit(self.trainer, self.model, self.datamodule, self.checkpoint)
        self.before_test()
        return preview_test(self.model, self.datamodule, self.checkpoint)

    @property
    def checkpoint(self) -> Path | None:
        """File of the classifier."""
        name = self.config[str(self.subcommand)].get("checkpoint")
        return None if name is None else Path(name)

    def before_fit(self) -> None:
        """See that the checkpoint can be written."""
        self._check_rate()
        fit.before(self.datamodule, self.checkpoint)

    def after_fit(self) -> None:
        """Test what was trained and save it."""
        fit.after(self.trainer, self.model, self.datamodule, self.checkpoint, self.config["fit"].as_dict())

    def before_test(self) -> None:
        """Load the weights to test."""
        self._check_rate()
        test.before(self.model, self.datamodule, self.checkpoint)

    def after_test(self) -> None:
        """Say how the classifier did."""
        fit.tell(self.model, self.checkpoint)

    def _check_rate(self) -> None:
        """Refuse a sample rate that was given to a classifier beside the data's, which is the one that it gets."""
        given = self.config[str(self.subcommand)].get("model.init_args.sample_rate")
        rate = _rate_of(self.datamodule)
        if rate is not None and given not in (None, rate):
            raise InputError(f"the sample rate of the data, {rate}, or none", given, "model.sample_rate")

    def before_invert(self) -> None:
        """Refuse what no attack can do."""
        invert.before(self.trainer)

    def after_invert(self) -> None:
        """Say what was found and where it lies."""
        invert.after(self.trainer, self.model, quiet=self.quiet)


def _rate_of(data: PersonDataModule) -> int | None:
    """Sample rate of data that are sound: classifiers of speech take it from there."""
    return data.modality.sample_rate


def run_logger(save_dir: str, name: str, version: str | None = None) -> dict[str, Any]:
    """Return the configuration of the logger whose folder takes everything that a run writes."""
    arguments: dict[str, Any] = {"save_dir": save_dir, "name": name, "default_hp_metric": False}
    if version is not None:
        arguments["version"] = version
    return {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": arguments}
