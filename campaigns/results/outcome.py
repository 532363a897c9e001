"""Say in a terminal what a campaign's report and its policy's evaluation say."""

from collections.abc import Iterator

from campaigns.models import Campaign
from campaigns.results.values import to_values_of
from experiments.reports import to_page
from recommender.models import Policy, PolicyEvaluation


def say_outcome(campaign: Campaign) -> Iterator[str]:
    """Yield the report line by line: verdict, metrics, checks, policies."""
    analysis = campaign.experiment.analyses.order_by("-computed_at").first()
    if analysis is None:
        yield "There is no analysis yet."
        return
    page = to_page(analysis)
    yield page.verdict["sentence"]
    for metric in page.metrics:
        yield ""
        yield f"{metric.name} ({metric.role})"
        for row in metric.rows:
            words = row.note or (
                f"{row.lift} ({row.lift_interval}); {row.difference} "
                f"({row.difference_interval}); {row.p_value}"
            )
            yield f"  {row.arm:<18} {row.customers:>7,}  {row.mean:>8}  {words}"
    yield ""
    for finding in page.findings:
        yield f"{finding['severity']}: {finding['title']}. {finding['detail']}"
    if not page.findings:
        yield "The checks found nothing wrong."
    evaluation = (
        PolicyEvaluation.objects.filter(campaign=campaign.key).order_by("-computed_at").first()
    )
    if evaluation is not None:
        yield from _say_values(evaluation, campaign.policy)


def _say_values(evaluation: PolicyEvaluation, policy: Policy) -> Iterator[str]:
    table = to_values_of(policy, evaluation)
    yield ""
    yield f"Policies, judged on {evaluation.population}:"
    yield f"  {'':<32} {'SNIPS':<26} {'doubly robust':<26} learned policy's advantage"
    for row in table.rows:
        yield f"  {row.policy:<32} {row.snips:<26} {row.dr:<26} {row.advantage}"
    yield table.sentence
    if table.integrity:
        yield table.integrity
