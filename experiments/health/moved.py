"""Finds customers who met more than one arm."""

from experiments.health.base import Finding, HealthContext

# Joined identities move a few people by nature. Beyond these shares, leaving them out may itself
# tilt the arms.
WARN_ABOVE = 0.01
BLOCK_ABOVE = 0.10


def check_moved(context: HealthContext) -> Finding | None:
    """Weigh the customers left out because they were seen in two arms."""
    if context.moved == 0:
        return None
    share = context.moved / (context.customers + context.moved)
    if share <= WARN_ABOVE:
        return None
    return Finding(
        code="customers_moved",
        severity="blocking" if share > BLOCK_ABOVE else "warning",
        title="Customers were seen in two arms",
        detail=f"{context.moved:,} customers ({share:.1%}) met more than one arm and were left "
        "out. Check that seed and weights stayed the same and that identities are joined "
        "before the first exposure.",
        evidence={"moved": context.moved, "share": share},
    )
