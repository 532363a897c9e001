"""Says when an experiment is too young to read, or does not yet cover whole weeks."""

from experiments.health.base import Finding, HealthContext

WEEK = 7
# After so many weeks, a weekday that came once more than the others weighs little.
WEEKS_THAT_LEVEL = 4


def check_too_early(context: HealthContext) -> Finding | None:
    """Compare the days so far with the days agreed, and with whole weeks.

    People who come at the weekend are not those who come on Mondays; only whole weeks hold both in
    their usual shares.
    """
    if context.days is None:
        return None
    days = int(context.days)
    evidence = {"days": context.days, "minimum_days": context.minimum_days}
    if context.days < context.minimum_days:
        return Finding(
            code="too_early",
            severity="note",
            title="Too early to read",
            detail=f"The experiment has run for {_say_days(days)} of at least "
            f"{_say_days(context.minimum_days)}. Early differences often vanish: wait before "
            "reading the numbers.",
            evidence=evidence,
        )
    weeks, rest = divmod(days, WEEK)
    if rest == 0 or weeks >= WEEKS_THAT_LEVEL:
        return None
    covered = f"{weeks} whole week{'' if weeks == 1 else 's'}" if weeks else "less than a week"
    return Finding(
        code="part_of_a_week",
        severity="note",
        title="Not whole weeks",
        detail=f"The experiment has run for {_say_days(days)}, which is {covered}"
        f"{' and a part' if weeks else ''}. Some weekdays count more than others: "
        f"{_say_days(WEEK - rest)} more would make it fair.",
        evidence=evidence,
    )


def _say_days(days: int) -> str:
    return f"{days} day" if days == 1 else f"{days} days"
