"""Log records become one JSON object a line."""

import json
import logging
import sys

from config.logs import JsonFormatter
from wire.messages import REQUEST_ID


def record(message: str, *args: object, **values: object) -> logging.LogRecord:
    made = logging.LogRecord("wire", logging.ERROR, "x.py", 1, message, args, None)
    made.__dict__.update(values)
    return made


def test_a_record_is_one_line_whatever_it_says() -> None:
    line = JsonFormatter().format(record('it said "%s"', "a\nb"))
    assert "\n" not in line
    written = json.loads(line)
    assert (written["level"], written["logger"]) == ("ERROR", "wire")
    assert written["message"] == 'it said "a\nb"'
    assert "request_id" not in written


def test_a_record_names_its_request() -> None:
    token = REQUEST_ID.set("abc")
    try:
        assert json.loads(JsonFormatter().format(record("x")))["request_id"] == "abc"
    finally:
        REQUEST_ID.reset(token)


def test_a_record_keeps_the_traceback() -> None:
    try:
        raise ZeroDivisionError
    except ZeroDivisionError:
        line = JsonFormatter().format(record("x", exc_info=sys.exc_info()))
    assert "ZeroDivisionError" in json.loads(line)["exception"]
