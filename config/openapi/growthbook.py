"""What GrowthBook's libraries ask for; the key in the path is a client's, which is public."""

from config.openapi.refusals import ANYTHING, TEXT
from experiments.growthbook.api import Visit
from wire.openapi import Answer, Content, Operation, Parameter

_REFUSALS = {
    413: Answer("The body is too large.", Content(ANYTHING)),
    415: Answer("The Content-Encoding is neither gzip nor none.", Content(ANYTHING)),
    429: Answer(
        "The key has asked too often.", Content(ANYTHING), {"retry-after": "Whole seconds to wait."}
    ),
    503: Answer(
        "The database cannot be reached now.",
        Content(ANYTHING),
        {"retry-after": "Whole seconds to wait."},
    ),
}
_FEATURES = {"etag": "Of the payload.", "x-sse-support": "Always `enabled`."}
OPERATIONS = {
    ("GET", "/api/features/{key}"): Operation(
        name="growthbook_features",
        tag="GrowthBook",
        meaning="Return what runs, as GrowthBook's libraries evaluate it; the key is a client's.",
        parameters=[Parameter("if-none-match", "The ETag of what is known.", "header")],
        answers={
            200: Answer("The payload.", Content(ANYTHING), _FEATURES),
            304: Answer("It is known already.", None, _FEATURES),
            400: Answer("No source has this key.", Content(ANYTHING)),
            **_REFUSALS,
        },
    ),
    ("GET", "/sub/{key}"): Operation(
        name="growthbook_changes",
        tag="GrowthBook",
        meaning="Send the payload at every change, as server-sent events.",
        answers={
            200: Answer("The stream.", Content(TEXT, "text/event-stream")),
            400: Answer("No source has this key.", Content(ANYTHING)),
            **_REFUSALS,
        },
    ),
    ("POST", "/api/eval/{key}"): Operation(
        name="growthbook_evaluate",
        tag="GrowthBook",
        meaning="Return what runs, evaluated for one customer.",
        body=Content(Visit),
        answers={
            200: Answer("The payload.", Content(ANYTHING)),
            400: Answer("No source has this key, or the body cannot be read.", Content(ANYTHING)),
            **_REFUSALS,
        },
    ),
}
