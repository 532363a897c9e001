"""Search a ranking's settings on its own events: on a validation, apart from every trial."""

from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.interactions.splits import Split
from recommender.judging.tuning import Study
from recommender.models.rankings import Ranking
from recommender.ranking.gate import split_for_trial
from recommender.ranking.interactions import read_site


def study_path(ranking: Ranking, kind: str) -> Path:
    """Return the file that keeps what was tried of a kind of ranker for a ranking."""
    return settings.DATA_DIR / "tuning" / f"{ranking.key}-{kind}.journal"


def open_study(
    ranking: Ranking, kind: str, *, now: datetime
) -> tuple[Study, Split, ItemFacts | None]:
    """Open the study of a kind of ranker, with the events that it began on.

    Raises:
        ModuleNotFoundError: Optuna is not installed.
        ValueError: There are too few events, the ranker has nothing to search, or the events of
            then were changed meanwhile.
    """
    study = Study(study_path(ranking, kind), kind)
    until = datetime.fromisoformat(study.keep("until", now.isoformat()))
    data = read_site(
        ranking.event_weights,
        since=until - timedelta(days=ranking.window_days),
        until=until,
        per_customer=ranking.events_per_customer,
    )
    if study.keep("digest", data.digest) != data.digest:
        raise ValueError(
            "Events of the time before the search began came in late or were erased, so that what "
            "was tried cannot be compared any more. Begin anew."
        )
    return study, split_for_search(data.histories), data.facts


def split_for_search(histories: Histories) -> Split:
    """Hold back the newest tenth of what trials learn from.

    The newest tenth of all events, by which a version trained now is admitted or rejected, is in
    neither part: whoever chose by it would be admitted by chance.

    Raises:
        ValueError: Too few customers came back for something new.
    """
    return split_for_trial(split_for_trial(histories).learned)
