"""Send a Content-Security-Policy with every page."""

from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

STRICT = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "script-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# The admin theme binds its inputs with Alpine, which evaluates expressions and styles in place:
# under the strict policy its forms open blank and a save would wipe data.
ADMIN = STRICT.replace(
    "script-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval'"
).replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


class ContentSecurityMiddleware(MiddlewareMixin):
    """Strict everywhere; under `/admin/`, what the theme needs."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Add the header."""
        policy = ADMIN if request.path.startswith("/admin/") else STRICT
        response.headers.setdefault("Content-Security-Policy", policy)
        return response
