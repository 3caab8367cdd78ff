"""What the judges of a study are asked: which question about whom, and which answer is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mi_lightning.errors import InputError

QuestionKind = Literal["line_up", "same_person"]

#: Answers that are no sample of a line-up.
NONE, SAME, DIFFERENT, CANNOT_TELL = "none", "same", "different", "cannot_tell"


@dataclass(frozen=True)
class Sample:
    """A picture or recording of a run.

    Attributes:
        run: Place of the run among the runs of the study.
        person: Place of the person among those of the run.
        source: ``"found"``: the reconstruction; ``"real"``: a photograph or recording of the person; ``"check"``: the
            same photograph in the place of a reconstruction.
    """

    run: int
    person: int
    source: Literal["found", "real", "check"]


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        kind: ``"line_up"``: which of these is the person, if any? ``"same_person"``: is this the same person?
        shown: What is asked about; its person is whom the question is about.
        options: What it is compared with: the line-up, or one sample.
        answer: The right answer: a sample of the line-up or ``"none"``; ``"same"`` or ``"different"``.
    """

    kind: QuestionKind
    shown: Sample
    options: tuple[Sample, ...]
    answer: Sample | str

    @property
    def check(self) -> bool:
        """Whether this is an attention check: a real photograph is shown, and the answer is plain to see."""
        return self.shown.source == "check"


@dataclass(frozen=True)
class Plan:
    """Settings of a study.

    Args:
        people: People of each run who are asked about, each once in a line-up and once in a pair; all if there are
            fewer. Runs on the same people ask about the same ones.
        line_up: Photographs in a line-up.
        absent: Share of the line-ups without the person; 0.2 in [F15].
        catch: Attention checks of the whole study.
        seed: Seed of what is drawn.

    Raises:
        InputError: If one of them is out of range.
    """

    people: int = 40
    line_up: int = 5
    absent: float = 0.2
    catch: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """See that the settings can be used."""
        if self.people < 1:
            raise InputError("people >= 1", self.people, "people")
        if not 2 <= self.line_up <= 9:  # each has a key of its own
            raise InputError("line_up from 2 to 9", self.line_up, "line_up")
        if not 0 <= self.absent < 1:
            raise InputError("absent from 0 to below 1", self.absent, "absent")
        if self.catch < 0:
            raise InputError("catch >= 0", self.catch, "catch")
        if self.seed < 0:
            raise InputError("seed >= 0", self.seed, "seed")

    def questions(self, labels: Sequence[Sequence[int]]) -> list[Question]:
        """Draw the questions; the attention checks come last.

        Args:
            labels: Label of each person of each run.

        Raises:
            InputError: If a run has too few people for a line-up without the person.
        """
        fewest = min(map(len, labels))
        if fewest <= self.line_up:
            raise InputError(f"line_up below the {fewest} people of the run with the fewest", self.line_up, "line_up")
        drawn = [question for run in range(len(labels)) for question in self._of_run(run, labels[run])]
        return drawn + self._checks([len(of_run) for of_run in labels])

    def _of_run(self, run: int, labels: Sequence[int]) -> list[Question]:
        """A line-up and a pair for each person that is drawn."""
        rising = np.argsort(np.asarray(labels), kind="stable")
        # a generator of its own, so that runs on the same people ask about the same ones
        people = np.random.default_rng((self.seed, 0)).permutation(rising)[: self.people].tolist()
        rng = np.random.default_rng((self.seed, 1, run))
        present = rng.permutation(len(people)) >= round(self.absent * len(people))
        alike = rng.permutation(len(people)) % 2 == 0
        questions = []
        for place, person in enumerate(people):
            shown = Sample(run, person, "found")
            questions.append(self._line_up(shown, len(labels), rng, present=bool(present[place])))
            questions.append(_pair(shown, len(labels), rng, alike=bool(alike[place])))
        return questions

    def _line_up(self, shown: Sample, people: int, rng: np.random.Generator, *, present: bool) -> Question:
        own = Sample(shown.run, shown.person, "real")
        others = _others(shown, people, self.line_up - present, rng)
        options = (own, *others) if present else others
        return Question("line_up", shown, options, own if present else NONE)

    def _checks(self, people: Sequence[int]) -> list[Question]:
        """A photograph in its own line-up, beside itself, in a line-up again, and beside that of somebody else."""
        rng = np.random.default_rng((self.seed, 2))
        checks = []
        for number in range(self.catch):
            run = number % len(people)
            shown = Sample(run, int(rng.integers(people[run])), "check")
            if number % 2 == 0:
                checks.append(self._line_up(shown, people[run], rng, present=True))
            else:
                checks.append(_pair(shown, people[run], rng, alike=number % 4 == 1))
        return checks


def _pair(shown: Sample, people: int, rng: np.random.Generator, *, alike: bool) -> Question:
    own = Sample(shown.run, shown.person, "real")
    if alike:
        return Question("same_person", shown, (own,), SAME)
    return Question("same_person", shown, _others(shown, people, 1, rng), DIFFERENT)


def _others(shown: Sample, people: int, count: int, rng: np.random.Generator) -> tuple[Sample, ...]:
    """Real samples of as many other people, drawn from all others of the run."""
    others = rng.choice([person for person in range(people) if person != shown.person], count, replace=False)
    return tuple(Sample(shown.run, person, "real") for person in others.tolist())
