"""Say what a customer has been offered lately, and how it was answered, as attributes.

They are computed, not told: whoever decides over time looks at them as at any other attribute. All
of them follow from what was logged before the moment of the decision, so a decision's own features
hold nothing that came later.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, log1p

from recommender.weighing.features import MAX_SIZE, CategoryFeature, FeatureSpec, NumberFeature

DAYS_SINCE = "contact.days_since"
PRESSURE = "contact.pressure"
LAST_WEEK = "contact.last_7_days"
LAST_MONTH = "contact.last_30_days"
WAS_ANSWERED = "contact.was_answered"
VALUE = "contact.value"
LAST_OFFER = "contact.last_offer"

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
# A contact of longer ago counts as none, and of more than so many the newest are looked at.
MONTH = timedelta(days=30)
MOST_CONTACTS = 200
# What a customer has brought is looked at for so long.
VALUED_FOR = timedelta(days=365)

# Centres and scales are those of a customer who is contacted once a week.
NUMBERS = (
    NumberFeature(DAYS_SINCE, 7.0, 7.0),
    NumberFeature(PRESSURE, 1.0, 2.0),
    NumberFeature(LAST_WEEK, 1.0, 2.0),
    NumberFeature(LAST_MONTH, 4.0, 6.0),
    NumberFeature(WAS_ANSWERED, 0.0, 1.0),
    NumberFeature(VALUE, 0.0, 3.0),
)
COMPUTED = frozenset({*(feature.attribute for feature in NUMBERS), LAST_OFFER})


@dataclass(frozen=True, slots=True)
class Contact:
    """An offer that a customer was given, and when."""

    at: datetime
    offer: str


@dataclass(frozen=True, slots=True)
class Contacts:
    """What one campaign gave a customer, and what that customer did, before some moment.

    Attributes:
        given: Offers of the last 30 days, the newest first; nothing is no contact.
        answered_at: When the event that is rewarded last happened; None if it did not.
        value: The sum of its values within a year, in any unit, less what was taken back; one
            without a value counts as 1.
    """

    given: Sequence[Contact] = ()
    answered_at: datetime | None = None
    value: float = 0.0

    def with_offer(self, offer: str, *, at: datetime) -> "Contacts":
        """Return them after one more contact."""
        return Contacts((Contact(at, offer), *self.given), self.answered_at, self.value)

    def attributes(self, *, now: datetime) -> dict[str, object]:
        """Describe the customer as one who decides now sees them.

        Days since the last contact are 30 where there was none. The pressure adds up all contacts,
        one of a week ago counting for 1/e of one right now. The value is ln(1 + value), and 0 where
        more was taken back than was earned.
        """
        ages = [now - contact.at for contact in self.given]
        lately = [max(age, timedelta(0)) for age in ages if age < MONTH]
        last = self.given[0] if lately else None
        answered = None if last is None else self.answered_at
        return {
            DAYS_SINCE: min(lately, default=MONTH) / DAY,
            PRESSURE: sum(exp(-(age / WEEK)) for age in lately),
            LAST_WEEK: sum(age < WEEK for age in lately),
            LAST_MONTH: len(lately),
            LAST_OFFER: None if last is None else last.offer,
            WAS_ANSWERED: bool(
                answered and last and self.answered_at and last.at <= self.answered_at
            ),
            VALUE: log1p(max(self.value, 0.0)),
        }


def sees_contacts(spec: FeatureSpec) -> bool:
    """Tell whether somebody who looks at these features has to be told of contacts."""
    return any(feature.attribute in COMPUTED for feature in spec.features)


def with_contacts(spec: FeatureSpec, offers: Collection[str]) -> FeatureSpec:
    """Return features with those of contacts in the place of such as there were.

    The last offer is told where there is room for a column of each.

    Args:
        spec: What is looked at besides.
        offers: Keys of the offers that are contacts.

    Raises:
        ValueError: There is no room for the others.
    """
    numbers = FeatureSpec((*without_computed(spec).features, *NUMBERS))
    if not offers or numbers.size + len(offers) > MAX_SIZE:
        return numbers
    return FeatureSpec((*numbers.features, CategoryFeature(LAST_OFFER, tuple(offers))))


def without_computed(spec: FeatureSpec) -> FeatureSpec:
    """Return the features that customers are told to have."""
    return FeatureSpec(tuple(each for each in spec.features if each.attribute not in COMPUTED))


def without_contacts(attributes: Mapping[str, object]) -> dict[str, object]:
    """Drop what somebody told by the names of what is computed."""
    return {name: value for name, value in attributes.items() if name not in COMPUTED}
