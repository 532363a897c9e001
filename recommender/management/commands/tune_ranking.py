"""`manage.py tune_ranking KEY KIND --minutes N`: search a ranker's settings for a ranking."""

import json
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from recommender.judging.tuning import Found, OutOfTime, Study
from recommender.models.rankings import Ranking
from recommender.rankers.base import TrainingContext
from recommender.ranking.searching import open_study, study_path


class Command(BaseCommand):
    """Try settings on the ranking's own events until the time is up.

    Each is judged by a validation: the events just before those of the trial that a version has to
    pass. Nothing is trained for the shop and nothing changes unless `--write` is given. Started
    again, also after a kill, it goes on with what it had tried.
    """

    help = "Search the settings of a kind of ranker for a ranking, within a budget of time."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("key", help="of the ranking")
        parser.add_argument("kind", help="of the ranker, such as two_tower")
        parser.add_argument("--minutes", type=float, default=10.0, help="how long to search")
        parser.add_argument("--anew", action="store_true", help="forget what was tried before")
        parser.add_argument(
            "--write", action="store_true", help="have versions asked for later begin with the best"
        )

    def handle(self, *, key: str, kind: str, minutes: float, **options: Any) -> None:
        """Search, say what was found, and write it if asked to."""
        begun = time.monotonic()
        ranking = Ranking.objects.filter(key=key).first()
        if ranking is None:
            raise CommandError(f"No ranking has the key {key}.")
        if options["anew"]:
            study_path(ranking, kind).unlink(missing_ok=True)
        try:
            found = self._search(ranking, kind, begun=begun, seconds=60 * minutes)
        except (ModuleNotFoundError, ValueError) as error:
            raise CommandError(str(error)) from error
        self._say(kind, found)
        if options["write"] and found.tried:
            ranking.tuned[kind] = found.settings
            ranking.save(update_fields=["tuned"])
            self.stdout.write(f"{ranking}: {kind} is trained with these from now on.")

    def _search(self, ranking: Ranking, kind: str, *, begun: float, seconds: float) -> Found:
        study, split, facts = open_study(ranking, kind, now=timezone.now())
        total = round(seconds)
        with tqdm(total=total, unit="s", desc=f"{ranking}, {kind}") as bar:

            def watch(part: float = 0.0) -> None:
                passed = time.monotonic() - begun
                bar.set_postfix_str(_short(study), refresh=False)
                bar.update(min(round(passed), total) - bar.n)
                if passed >= seconds:
                    raise OutOfTime

            context = TrainingContext(
                device=settings.LEARNING_DEVICE,
                report=watch,
                sentence_model=settings.SENTENCE_MODEL,
            )
            try:
                while True:
                    watch()
                    study.try_next(split, facts, context)
            except OutOfTime:
                return study.found

    def _say(self, kind: str, found: Found) -> None:
        if found.own is None or found.best is None:
            self.stdout.write("The time was too short to try even its own settings.")
            return
        self.stdout.write(
            f"{kind}: {found.tried} settings tried. Validated NDCG@10 {found.own:.4f} with its own "
            f"settings, {found.best:.4f} with the best, which is a little too good for being the "
            f"best of many: the trial of a version will tell."
        )
        self.stdout.write(json.dumps(found.settings))


def _short(study: Study) -> str:
    found = study.found
    return f"{found.tried} tried" + ("" if found.best is None else f", best {found.best:.4f}")
