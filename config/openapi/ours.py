"""Our own API: offers, arms and results."""

from typing import Any

import msgspec

from audience.consent import subscribe_views
from campaigns.deciding import api as decide
from config.openapi.refusals import ANYTHING, a_key, problem, refusals
from experiments.assigning import api as assigning
from experiments.assigning.evaluation import Reason
from experiments.stats_check import document as stats_document
from recommender.ranking import api as picks
from wire.openapi import Answer, Content, Operation, Parameter


class Assigned(msgspec.Struct, forbid_unknown_fields=True):
    """The arm of a customer in one experiment; none has no payload."""

    arm: str | None
    payload: Any
    reason: Reason


class Assignments(msgspec.Struct, forbid_unknown_fields=True):
    """The arms of a customer, by the key of the experiment."""

    assignments: dict[str, Assigned]


OPERATIONS = {
    ("POST", "/api/v1/decide"): Operation(
        name="decide",
        tag="Offers",
        meaning="Decide which offers a customer sees in placements, and log it.",
        body=Content(decide.Question),
        answers={200: Answer("A decision for each place.", Content(decide.Reply)), **refusals()},
        scope=a_key("decide"),
    ),
    ("POST", "/api/v1/assign"): Operation(
        name="assign",
        tag="Experiments",
        meaning="Say which arms a customer gets, and record that they were met.",
        body=Content(assigning.Question),
        answers={200: Answer("The arms.", Content(Assignments)), **refusals()},
        scope=a_key("decide"),
    ),
    ("POST", "/api/v1/picks"): Operation(
        name="pick",
        tag="Offers",
        meaning="Say which products a ranking shows a customer, by the session so far.",
        body=Content(picks.Question),
        answers={200: Answer("Products, best first.", Content(picks.Reply)), **refusals()},
        scope=a_key("decide"),
    ),
    ("POST", "/api/v1/subscribe"): Operation(
        name="subscribe",
        tag="Messages",
        meaning="Ask the owner of an address by mail to confirm that they want messages.\nThe "
        "answer never tells who is known.",
        body=Content(subscribe_views.Asked),
        answers={
            202: Answer("A mail asks them.", Content(ANYTHING)),
            400: Answer("The Host header is not one of this site."),
            401: problem("No source has this key, or none was sent."),
            403: problem("The key may not do this."),
            413: problem("The body is too large."),
            422: problem("The body is no JSON, or a field is not what it should be."),
            503: problem("No mail can be sent now."),
        },
        scope=a_key("events"),
    ),
    ("GET", "/c/{token}"): Operation(
        name="follow",
        tag="Messages",
        meaning="Follow a link of a message.\nThe token is signed, and says where it leads.",
        answers={
            302: Answer("Where the link leads."),
            404: problem("The link is not one of ours."),
        },
    ),
    ("GET", "/o/{token}.gif"): Operation(
        name="open",
        tag="Messages",
        meaning="Fetch the picture that tells that a message was opened.",
        answers={200: Answer("A transparent dot.")},
    ),
    ("POST", "/api/v1/stats/compare"): Operation(
        name="compare",
        tag="Statistics",
        meaning="Compare the numbers in a document.",
        body=Content(stats_document.Document),
        answers={200: Answer("Their comparisons.", Content(ANYTHING)), **refusals()},
        scope=a_key("read"),
    ),
    ("GET", "/api/v1/campaigns/{key}/results"): Operation(
        name="worth",
        tag="Statistics",
        meaning="Return what a campaign was worth: against its hold-out, by segment and by offer."
        "\nWith how much of the reward of recent decisions is expected to have come: `maturity`."
        "\nAnswered by Django, where being logged in opens it too.",
        answers={
            200: Answer("The result.", Content(ANYTHING)),
            400: Answer("The Host header is not one of this site."),
            401: problem("No source that may read has this key."),
            403: problem("Results are hidden for now."),
            404: problem("There is no such campaign, or no result yet."),
        },
        scope=a_key("read"),
    ),
    ("GET", "/api/v1/experiments/{key}/results"): Operation(
        name="results",
        tag="Statistics",
        meaning="Return the newest analysis of an experiment.\nAnswered by Django, where being "
        "logged in opens it too.",
        parameters=[
            Parameter("analysis", "The number of an older analysis."),
            Parameter("moments", "Whatever it says: with the moments that all follows from."),
        ],
        answers={
            200: Answer("The analysis.", Content(ANYTHING)),
            400: Answer("The Host header is not one of this site."),
            401: problem("No source that may read has this key."),
            403: problem("Results are hidden for now."),
            404: problem("There is no such experiment or analysis."),
        },
        scope=a_key("read"),
    ),
}
