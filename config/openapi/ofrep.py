"""OpenFeature's remote evaluation protocol."""

from config.openapi.refusals import TEXT, problem
from experiments.ofrep import documents
from experiments.ofrep.api import EVENTS_PATH, FLAGS_PATH
from wire.openapi import Answer, Content, Operation, Parameter

_SCOPE = "the key of a source with the scope `flags` or `decide`"
_REFUSAL = Content(documents.Refusal)
_REFUSALS = {
    401: Answer("No source has this key, or none was sent.", _REFUSAL),
    403: Answer("The key may not do this.", _REFUSAL),
    413: problem("The body is too large."),
    429: Answer("The key has asked too often.", _REFUSAL, {"retry-after": "Whole seconds."}),
    503: problem("Nothing is known yet, and the database cannot be reached."),
}
_TAGGED = {"etag": "Of the answers: it changes with the configuration and with the context."}

OPERATIONS = {
    ("POST", FLAGS_PATH): Operation(
        name="evaluate_flags",
        tag="OFREP",
        meaning="Evaluate all flags for one customer; nothing is recorded.",
        body=Content(documents.Question),
        parameters=[
            Parameter("if-none-match", "The ETag of what is known.", "header"),
            Parameter("flagConfigEtag", "What an event of the stream said."),
            Parameter("flagConfigLastModified", "Taken, and not looked at."),
        ],
        answers={
            200: Answer("The flags.", Content(documents.Bulk), _TAGGED),
            304: Answer("They are known already.", None, _TAGGED),
            400: Answer("The context cannot be read.", Content(documents.BulkFailure)),
            **_REFUSALS,
        },
        scope=_SCOPE,
    ),
    ("POST", f"{FLAGS_PATH}/{{key}}"): Operation(
        name="evaluate_flag",
        tag="OFREP",
        meaning="Evaluate one flag for one customer, and record that its arm was met.",
        body=Content(documents.Question),
        answers={
            200: Answer("The flag.", Content(documents.Flag)),
            400: Answer("The context cannot be read.", Content(documents.Failure)),
            404: Answer("There is no such flag.", Content(documents.Failure)),
            **_REFUSALS,
        },
        scope=_SCOPE,
    ),
    ("GET", EVENTS_PATH): Operation(
        name="flag_changes",
        tag="OFREP",
        meaning="Tell when flags are to be fetched again, as server-sent events.",
        parameters=[
            Parameter("token", "Of the address that all flags came with.", is_required=True),
            Parameter("seen", "The configuration that was fetched."),
            Parameter("last-event-id", "The event that was heard last.", "header"),
        ],
        answers={
            200: Answer("The stream.", Content(TEXT, "text/event-stream")),
            401: Answer("The token is none, or too old.", _REFUSAL),
            503: problem("Nothing is known yet, and the database cannot be reached."),
        },
    ),
}
