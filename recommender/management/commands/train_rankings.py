"""`manage.py train_rankings`: train what waits, by several processes together under `torchrun`."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone
from tqdm import tqdm

from recommender.models.rankings import RankerVersion
from recommender.ranking.learning import Role, train_version
from recommender.ranking.lifecycle import claim_version
from recommender.training import parallel

# So many hexadecimal digits are a whole number that a float holds exactly.
DIGITS = 12


class Command(BaseCommand):
    """Do what a worker does, with as many processes and machines as `torchrun` starts.

    Each process reads the same events and does its part of every batch of a network; the first one
    judges, writes, and shows how far it is. Rankers that are no networks are trained by each.
    """

    help = (
        "Train the rankings that wait. On several GPUs or cores: "
        "torchrun --standalone --nproc-per-node 2 manage.py train_rankings"
    )

    def handle(self, **options: Any) -> None:
        """Train one version after the other until none waits."""
        with parallel.joined(settings.LEARNING_DEVICE) as device:
            while version := claim_together(device):
                self._train(version, device)

    def _train(self, version: RankerVersion, device: str) -> None:
        def agrees(digest: str) -> bool:
            (firsts,) = parallel.ask_first([float(int(digest[:DIGITS], 16))], device=device)
            return not parallel.has_any(firsts != int(digest[:DIGITS], 16), device=device)

        with tqdm(total=100, unit="%", desc=str(version), disable=not parallel.is_first()) as bar:

            def show(part: float, stage: str) -> None:
                bar.set_postfix_str(stage, refresh=False)
                bar.update(round(100 * part) - bar.n)

            role = Role(is_first=parallel.is_first(), device=device, agrees=agrees, show=show)
            train_version(version, now=timezone.now(), role=role)
        if parallel.is_first():
            says = f"{version}: {version.get_status_display().lower()}. {' '.join(version.reasons)}"
            self.stdout.write(says)


def claim_together(device: str) -> RankerVersion | None:
    """Claim the next version in the first process, and return it in all of them."""
    claimed = claim_version(now=timezone.now()) if parallel.is_first() else None
    (pk,) = parallel.ask_first([float(claimed.pk if claimed else 0)], device=device)
    return RankerVersion.objects.select_related("ranking").filter(pk=int(pk)).first()
