"""Hands a report out as a file."""

from collections.abc import Callable

from django.contrib.admin.views.decorators import staff_member_required
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.http import require_safe

from experiments.export.api import to_document
from experiments.export.csv_file import to_csv
from experiments.export.notebook import to_notebook
from experiments.export.sql_file import to_sql
from experiments.models import Analysis, Experiment
from experiments.views import PEEK, VIEW

Write = Callable[[Experiment, Analysis], str | bytes]


def _pdf(experiment: Experiment, analysis: Analysis) -> bytes:
    # Loaded when it is asked for: eighty megabytes that a web process else does without.
    from experiments.export.pdf import to_pdf

    return to_pdf(experiment, analysis)


def _notebook(experiment: Experiment, analysis: Analysis) -> str:
    return to_notebook(to_document(experiment, analysis, with_moments=True))


# What a file is called at its end, what it is, and how it is written.
FORMATS: dict[str, tuple[str, Write]] = {
    "pdf": ("application/pdf", _pdf),
    "csv": ("text/csv; charset=utf-8", lambda experiment, analysis: to_csv(analysis.report)),
    "ipynb": ("application/x-ipynb+json", _notebook),
    "sql": ("application/sql", to_sql),
}


@require_safe
@staff_member_required
@permission_required(VIEW, raise_exception=True)
def export(request: HttpRequest, key: str, name: str) -> HttpResponse:
    """Write the newest analysis in one of the formats; what is hidden is hidden here too."""
    if name not in FORMATS:
        raise Http404
    experiment = get_object_or_404(Experiment, key=key)
    if experiment.hidden_until(timezone.now()) is not None and not request.user.has_perm(PEEK):
        raise PermissionDenied
    analysis = (
        experiment.analyses.select_related("plan_version").order_by("-computed_at", "-pk").first()
    )
    if analysis is None:
        raise Http404
    kind, write = FORMATS[name]
    written = write(experiment, analysis)
    answer = HttpResponse(written, content_type=kind)
    answer["Content-Disposition"] = f'attachment; filename="{experiment.key}.{name}"'
    return answer
