"""Plan an experiment: say how long it takes to find an effect, from the site's own history."""

from dataclasses import replace
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from experiments.models import Metric
from experiments.plan import Adjustment
from experiments.planning.planner import TooLittleHistory, advise, looks_of, read_history
from experiments.stats.power import Design, find_size
from experiments.stats.replay import simulate_power
from experiments.wording import say_lift, say_value


class Command(BaseCommand):
    """Print size, duration and what can be found in so many weeks."""

    help = (
        "Say how many customers and days an experiment needs to find a relative change of a "
        "metric, by the site's own history of the last eight weeks."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("metric", help="key of the metric")
        parser.add_argument("--entry", required=True, help="event by which customers would enter")
        parser.add_argument("--lift", type=float, default=0.05, help="to be found, 0.05 is +5%%")
        parser.add_argument("--power", type=float, default=0.8, help="how surely it is found")
        parser.add_argument("--arms", type=int, default=2, help="the control included")
        parser.add_argument("--margin", type=float, help="acceptable loss, to show no harm")
        parser.add_argument("--history-days", type=int, default=28, help="0 is no adjustment")
        parser.add_argument(
            "--simulate", type=int, default=0, metavar="RUNS", help="replay history so many times"
        )

    def handle(self, **options: Any) -> None:
        """Print the advice."""
        metric = Metric.objects.filter(key=options["metric"]).first()
        if metric is None:
            raise CommandError(f"There is no metric {options['metric']}.")
        self.stderr.write("Reading the last eight weeks…")
        try:
            design = Design(weights=(1.0,) * options["arms"], margin=options["margin"])
            history = read_history(
                metric,
                entry=options["entry"],
                adjustment=Adjustment(days=options["history_days"]),
                now=timezone.now(),
            )
            once = advise(history, design, effect=options["lift"], power=options["power"])
            daily = looks_of(history, design, days=once.days)
            advice = advise(history, daily, effect=options["lift"], power=options["power"])
        except (TooLittleHistory, ValueError) as error:
            raise CommandError(str(error)) from error
        outcome = history.outcome
        self.stdout.write(
            f"{metric.name}: mean {outcome.mean:.4g}, standard deviation "
            f"{outcome.variance**0.5:.4g} over {history.customers:,} customers; adjustment removes "
            f"{say_value(outcome.removed, unit='percent')} of the variance.\n"
            f"{history.traffic.per_week:,.0f} new customers a week.\n"
            f"To find {say_lift(options['lift'])} with power {options['power']:g}: "
            f"{advice.customers:,} customers, {advice.days} days; by daily looks it is expected to "
            f"end after {advice.expected_days:.0f} days."
        )
        for weeks, effect in advice.effects:
            said = "nothing that could be" if effect is None else say_lift(effect)
            self.stdout.write(f"  in {weeks} weeks: {said}")
        if options["simulate"] and history.values is not None:
            self.stderr.write(f"Replaying history {options['simulate']} times…")
            plain = replace(history.outcome, removed=0.0)
            customers = find_size(plain, daily, effect=options["lift"], power=options["power"])
            replayed = simulate_power(
                history.values,
                daily,
                effect=options["lift"],
                customers=customers,
                rng=np.random.default_rng(1),
                runs=options["simulate"],
            )
            self.stdout.write(
                f"Replayed with {customers:,} customers and no adjustment: found in "
                f"{replayed.power:.1%} of runs (± {2 * replayed.standard_error:.1%})."
            )
