"""Run the whole site on this machine with one command."""

import argparse
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from config.embedded import site
from config.embedded.failure import ServerError
from config.embedded.processes import Supervisor, Surroundings
from config.embedded.secret_key import keep_secret_key
from config.embedded.services import EmbeddedServices


class Command(BaseCommand):
    """Start servers, web, worker and beat; stop them all on Ctrl-C."""

    help = (
        "Run the whole site: PostgreSQL and Valkey (unless DATABASE_URL and REDIS_URL name "
        "others), migrations, web, worker and beat. Ctrl-C stops everything."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", default=8000, type=int, help="first port to try")
        parser.add_argument(
            "--then",
            nargs=argparse.REMAINDER,
            default=[],
            metavar="COMMAND",
            help="management command to run once the site is up; must come last",
        )

    def handle(self, *, host: str, port: int, then: list[str], **options: Any) -> None:
        """Run until Ctrl-C."""
        site.heed_signals()
        try:
            with EmbeddedServices(
                settings.DATA_DIR,
                postgres_bin=settings.POSTGRES_BIN,
                with_postgres=settings.EMBEDDED_POSTGRES,
                with_valkey=settings.EMBEDDED_VALKEY,
                report=self.report,
            ) as services:
                self.report("Bringing the database up to date")
                call_command("migrate", interactive=False, verbosity=options["verbosity"])
                connections.close_all()
                self.run_site(services, host=host, port=port, then=then)
        except ServerError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.report("Everything has stopped")

    def run_site(
        self, services: EmbeddedServices, *, host: str, port: int, then: list[str]
    ) -> None:
        """Run the site's programs on running servers until Ctrl-C."""
        free_port = site.find_free_port(host, wanted=port)
        if free_port != port:
            self.report(f"Port {port} is in use; taking {free_port}")
        url = site.address(host, free_port)
        environment = site.environment_for(
            url, database_url=settings.DATABASE_URL, redis_url=settings.REDIS_URL
        )
        if not settings.SECRET_KEY_IS_OURS:
            environment["SECRET_KEY"] = keep_secret_key(settings.DATA_DIR)
        surroundings = Surroundings(environment=environment, directory=settings.BASE_DIR)
        supervisor = Supervisor(output=sys.stdout, report=self.report)
        with site.stopping(supervisor):
            self.report("Starting web, worker, trainer and beat")
            supervisor.start(site.web_program(surroundings, host=host, port=free_port))
            for name, queue in site.WORKERS:
                supervisor.start(site.worker_program(surroundings, name=name, queue=queue))
            supervisor.start(site.beat_program(surroundings))
            seconds = site.wait_for_answer(url, supervisor=supervisor, report=self.report)
            self.report(f"OfferLab is up after {seconds:.0f} s: {url}/ (Ctrl-C stops it)")
            if then:
                self.report(f"Running {' '.join(then)}")
                supervisor.start(site.management_program(surroundings, words=then))
            site.watch(supervisor, revive=services.revive)

    def report(self, message: str) -> None:
        """Say what is happening."""
        self.stdout.write(f"dev    | {message}")
        self.stdout.flush()
