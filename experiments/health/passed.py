"""What each check says when it found nothing, so that people see what was looked at."""

# The codes of what a check can find, and the sentence when it found none of them.
PASSED: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("sample_ratio_mismatch", "customers_in_empty_arm"),
        "Customers came in the planned shares.",
    ),
    (("no_exposures",), "Every arm with a share has customers."),
    (("customers_moved",), "Nobody, or next to nobody, was met in two arms."),
    (("unequal_before",), "The arms' customers were alike before they met the experiment."),
    (("segments_shifted",), "Attributes are spread over the arms alike."),
    (("dependent_assignment",), "Arms do not depend on those of other experiments."),
    (("events_missing",), "The events that are counted keep coming."),
    (("late_events",), "Events come in time."),
    (("bots",), "Nobody does so much that it can be no person."),
    (("outlier",), "No single customer decides a result."),
    (("interaction",), "The effect is the same whatever other experiments customers are in."),
    (("effect_grows", "effect_fades"), "The effect neither fades nor grows with time."),
    (("too_early", "part_of_a_week"), "It has run for whole weeks, and long enough."),
)
