"""How many machines are told from people in a labelled sample of requests, family by family.

    python -m benchmarks.machines

The sample is drawn from published descriptions (tests/campaigns/tracking/traffic.py), not recorded:
it says how well the rules know these patterns, not how common each of them is. The rules were
written for the first families of machines; those of the second part they had not seen.
"""

import sys

from campaigns.tracking.machines import find_machines
from tests.campaigns.tracking.traffic import KNOWN, PEOPLE, SENT_AT, UNSEEN, draw

COUNT = 20_000


def main() -> int:
    """Print the shares of machines that are caught and of people who are lost."""
    ok = True
    parts = (("people", PEOPLE), ("machines known", KNOWN), ("machines not seen before", UNSEEN))
    for seed, (name, families) in enumerate(parts):
        counts: dict[str, list[int]] = {}
        total = [0, 0, 0, 0]
        for visit in draw(families, count=COUNT, seed=seed):
            reasons = find_machines(visit.hits, sent_at=SENT_AT)
            for reason, is_machine in zip(reasons, visit.is_machine, strict=True):
                for tally in (total, counts.setdefault(visit.family, [0, 0, 0, 0])):
                    tally[2 if is_machine else 0] += 1
                    tally[3 if is_machine else 1] += bool(reason)
        print(name)
        for family, (people, lost, machines, caught) in sorted(counts.items()):
            said = f"{100 * caught / machines:6.2f}% of {machines:,} caught" if machines else ""
            said += f"{100 * lost / people:6.2f}% of {people:,} lost" if people else ""
            print(f"  {family:24} {said}")
        people, lost, machines, caught = total
        if machines:
            print(f"  all: {100 * caught / machines:.2f}% of machines caught")
            ok = ok and caught / machines >= 0.98
        if people:
            print(f"  all: {100 * lost / people:.2f}% of people lost")
            ok = ok and lost / people <= 0.01
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
