"""Make a past decision again, and say whether it comes out the same."""

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from campaigns.replaying import Replay, replay
from recommender.models import Decision


class Command(BaseCommand):
    """Replay one decision from the log."""

    help = (
        "Draw a decision's offer again from what was logged, weigh the offers again by the "
        "policy's version of then, and say whether both agree with the log."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the decision."""
        parser.add_argument("decision", type=uuid.UUID, help="id of the decision")

    def handle(self, *, decision: uuid.UUID, **options: Any) -> None:
        """Replay, and fail if something differs."""
        try:
            made = replay(decision)
        except Decision.DoesNotExist as error:
            raise CommandError(f"No decision has the id {decision}.") from error
        for line in _say(made):
            self.stdout.write(line)
        if not made.is_confirmed:
            raise CommandError("The decision does not come out as it was logged.")


def _say(made: Replay) -> list[str]:
    decision = made.decision
    lines = [
        f"{decision.decided_at:%Y-%m-%d %H:%M:%S %Z}: {decision.campaign} in {decision.placement}, "
        f"place {decision.position + 1}, arm {decision.arm}",
        f"logged: {decision.offer or 'no offer'} with probability {decision.propensity:.4f}",
        *(f"  because: {reason}" for reason in decision.reasons),
    ]
    if not decision.eligible:
        return [*lines, "nothing was drawn, so there is nothing to draw again"]
    drawn = sorted(zip(decision.weights, decision.eligible, strict=True), reverse=True)
    lines += [f"  {weight:7.4f} {key}" for weight, key in drawn]
    lines.append(f"drawn again: {made.offer}, {'the same' if made.is_same else 'ANOTHER'}")
    if made.furthest_weight is None:
        lines.append("weights: no version of a policy is left to weigh by")
    else:
        lines.append(
            f"weights by policy version {decision.policy_version}: "
            f"{made.furthest_weight:.1e} from the logged ones at most"
        )
    return lines
