"""What Django's API views answer when they refuse, as the hot paths do (RFC 9457)."""

from http import HTTPStatus

from django.http import JsonResponse


def refuse(status: int, detail: str) -> JsonResponse:
    """Answer with a problem, in words that the client's developer can act on."""
    return JsonResponse(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        },
        status=status,
        content_type="application/problem+json",
    )
