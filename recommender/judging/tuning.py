"""Search a ranker's settings within a budget of time, and go on after a kill (Optuna)."""

from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from recommender.interactions.item_facts import ItemFacts
from recommender.interactions.splits import Split
from recommender.judging.judge import judge
from recommender.rankers import load_ranker, make_ranker
from recommender.rankers.base import Between, TrainingContext

MEASURE = "ndcg@10"
MISSING = "The search needs optuna: pip install -r requirements-training.txt."

Settings = dict[str, Any]


class OutOfTime(Exception):
    """The budget ended while a ranker was learning."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has come to.

    Attributes:
        tried: How many settings were tried to the end.
        own: NDCG@10 with the ranker's own settings; None as long as these were not tried.
        best: The highest NDCG@10, which is a little too good for being the highest.
        settings: Those that gave it, as far as they differ from its own.
    """

    tried: int
    own: float | None
    best: float | None
    settings: Settings


class Study:
    """The settings of one kind of ranker that were tried on one split, kept in a file."""

    def __init__(self, path: Path, kind: str) -> None:
        """Open the study, or begin it with the ranker's own settings.

        What was being tried when its process was killed is tried first.

        Args:
            path: Of its file.
            kind: Of the ranker.

        Raises:
            ModuleNotFoundError: Optuna is not installed.
            ValueError: There is no such ranker, or it has nothing to search.
        """
        self.kind, self._ranges = kind, load_ranker(kind).searched
        if not self._ranges:
            raise ValueError(f"The ranker {kind} has no settings to search.")
        optuna = self._optuna = _load_optuna()
        path.parent.mkdir(parents=True, exist_ok=True)
        file = optuna.storages.journal.JournalFileBackend(str(path))
        self._study = optuna.create_study(
            study_name=kind,
            storage=optuna.storages.JournalStorage(file),
            direction="maximize",
            load_if_exists=True,
        )
        # Begun anew after each start, or it would draw the same again.
        trials = self._study.get_trials(deepcopy=False)
        self._study.sampler = optuna.samplers.TPESampler(seed=len(trials))
        if not trials:
            self._study.enqueue_trial({name: self._own[name] for name in self._ranges})
        for trial in trials:
            if trial.state == optuna.trial.TrialState.RUNNING:
                self._give_up(trial.number, trial.params)

    @property
    def _own(self) -> Settings:
        return {each.name: each.default for each in fields(load_ranker(self.kind)) if each.init}

    def keep(self, name: str, value: str) -> str:
        """Keep a value with the study, and return the one that was kept first by this name."""
        kept: str | None = self._study.user_attrs.get(name)
        if kept is None:
            self._study.set_user_attr(name, value)
        return value if kept is None else kept

    def try_next(
        self, split: Split, facts: ItemFacts | None, context: TrainingContext
    ) -> float | None:
        """Try the most promising settings, and return what they are worth.

        None is returned where a ranker cannot have them.

        Raises:
            OutOfTime: The context's report said so; they are tried first the next time.
        """
        trial = self._study.ask(
            {name: self._distribution(name, each) for name, each in self._ranges.items()}
        )
        try:
            ranker = make_ranker(self.kind, trial.params)
            ranker.prepare(context)
            value = judge(ranker.fit(split.learned, facts), split).means[MEASURE]
        except OutOfTime:
            self._give_up(trial.number, trial.params)
            raise
        except ValueError:
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            if not trial.number:
                raise  # with its own settings, so that others would not help
            return None
        self._study.tell(trial, value)
        return value

    @property
    def found(self) -> Found:
        """What it has come to."""
        done = self._study.get_trials(
            deepcopy=False, states=(self._optuna.trial.TrialState.COMPLETE,)
        )
        own = {name: self._own[name] for name in self._ranges}
        best = max(done, key=lambda trial: trial.value, default=None)
        return Found(
            tried=len(done),
            own=next((trial.value for trial in done if trial.params == own), None),
            best=None if best is None else best.value,
            settings={}
            if best is None
            else {name: value for name, value in best.params.items() if value != own[name]},
        )

    def _give_up(self, number: int, params: Settings) -> None:
        """Mark what was not finished, and put it down to be tried first."""
        self._study.tell(number, state=self._optuna.trial.TrialState.FAIL)
        self._study.enqueue_trial(params)

    def _distribution(self, name: str, between: Between) -> Any:
        distributions = self._optuna.distributions
        if isinstance(self._own[name], int):
            return distributions.IntDistribution(
                int(between.low), int(between.high), log=between.is_log, step=between.step
            )
        return distributions.FloatDistribution(between.low, between.high, log=between.is_log)


def _load_optuna() -> ModuleType:
    try:
        # Here, because it is an extra that most sites go without.
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(MISSING) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    module: ModuleType = optuna
    return module
