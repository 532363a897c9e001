"""Templates write what a message needs, and whoever writes one can do nothing else with them."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateError, is_undefined

from campaigns.templating.checks import BadTemplate
from campaigns.templating.filters import MOST_OF_A_VALUE
from campaigns.templating.templates import (
    _ENVIRONMENTS,
    Kind,
    Unrenderable,
    compile_template,
    to_plain,
)

DATA: dict[str, Any] = {
    "customer": {
        "key": "c1",
        "first_name": "Ana",
        "points": 12,
        "products": [{"name": "Lamp"}, {"name": "Chair"}],
        "empty": "",
        "nothing": None,
    },
    "offer": {
        "key": "o",
        "name": "O",
        "headline": "10% & more",
        "text": "",
        "link": "",
        "image": "",
    },
    "campaign": {"key": "spring", "name": "Spring"},
    "message": {
        "language": "en",
        "unsubscribe_url": "https://lab.example/u/x",
        "date": "2026-03-02",
    },
}
# Payloads for server-side template injection, of the kinds that public collections list
# (PayloadsAllTheThings "Server Side Template Injection", PortSwigger's research and labs,
# HackTricks "Jinja2 SSTI", Tplmap's plug-ins, and Jinja's own security advisories, such as
# CVE-2016-10745, CVE-2019-10906, CVE-2024-56326 and CVE-2025-27516). Each tries to reach an object
# beyond the given data, to run something, to read a file, or to use up the machine.
ESCAPES = [
    # To the classes of everything, from a string, a list, a number.
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''.__class__.__mro__[2].__subclasses__()[40]('/etc/passwd').read() }}",
    "{{ [].__class__.__base__.__subclasses__() }}",
    "{{ ().__class__.__bases__[0].__subclasses__() }}",
    "{{ {}.__class__.__base__ }}",
    "{{ 1.__class__ }}",
    "{{ (1).__class__.__base__.__subclasses__() }}",
    "{{ True.__class__.__base__.__subclasses__() }}",
    "{{ customer.__class__ }}",
    "{{ customer.__class__.__init__.__globals__ }}",
    "{{ customer.first_name.__class__.__base__.__subclasses__() }}",
    "{{ customer['__class__'] }}",
    "{{ customer.first_name['__class__']['__base__'] }}",
    "{{ offer.headline.__len__.__self__ }}",
    "{{ customer.get.__globals__ }}",
    "{{ customer.keys.__func__ }}",
    "{{ customer.pop('first_name') }}",
    "{{ customer.update({'a': 1}) }}",
    "{{ customer.products.append(1) }}",
    # Through what a framework lays into templates.
    "{{ config }}",
    "{{ config.items() }}",
    "{{ config.from_pyfile('/tmp/x') }}",
    "{{ config.__class__.__init__.__globals__['os'].popen('id').read() }}",
    "{{ request }}",
    "{{ request.application.__globals__.__builtins__.__import__('os').popen('id').read() }}",
    "{{ request['application']['__globals__'] }}",
    "{{ session }}",
    "{{ g.pop.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ url_for.__globals__['current_app'].config }}",
    "{{ settings.SECRET_KEY }}",
    "{{ messages.storages.0.signer.key }}",
    "{% debug %}",
    "{% load log %}",
    "{% include 'admin/base.html' %}",
    # Through Jinja's own names.
    "{{ self }}",
    "{{ self._TemplateReference__context }}",
    "{{ self._TemplateReference__context.cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ self.__init__.__globals__.__builtins__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__.os.popen('id').read() }}",
    "{{ namespace.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ lipsum(n=10000) }}",
    "{{ dict(a=1).__class__ }}",
    "{{ dict.mro() }}",
    "{{ range(10).__class__ }}",
    "{{ undefined.__class__ }}",
    "{{ x.__init__.__globals__ }}",
    "{{ caller() }}",
    "{{ varargs }}",
    "{{ super() }}",
    "{% for c in [].__class__.__base__.__subclasses__() %}{{ c.__name__ }}{% endfor %}",
    "{% for x in customer.products %}{{ loop.__class__ | default('x') }}{{ loop() }}{% endfor %}",
    "{% for x in customer.products %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{% for x in customer.products recursive %}{{ loop(x) }}{% endfor %}",
    "{% for x in customer.products %}{{ loop._iterator }}{% endfor %}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "{% set x = ''.__class__ %}{{ x }}",
    "{% set ns = namespace(a=1) %}{{ ns.a }}",
    "{% import 'os' as os %}{{ os }}",
    "{% from 'os' import popen %}",
    "{% extends 'x' %}",
    "{% block x %}{{ self.x() }}{% endblock %}",
    "{% call x() %}{% endcall %}",
    "{% filter upper %}x{% endfilter %}",
    "{% with a = ''.__class__ %}{{ a }}{% endwith %}",
    "{% autoescape false %}{{ customer.first_name }}{% endautoescape %}",
    "{% do customer.clear() %}",
    "{% trans %}x{% endtrans %}",
    "{% raw %}x{% endraw %}{{ ''.__class__ }}",
    # Around filters for dots, underscores and brackets.
    "{{ ''|attr('__class__') }}",
    "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ customer|attr('get') }}",
    "{{ ()|attr('__class__')|attr('__base__')|attr('__subclasses__')() }}",
    "{{ request|attr('application')|attr('\\x5f\\x5fglobals\\x5f\\x5f') }}",
    "{{ ['__cla','ss__']|join|attr('x') }}",
    "{{ [''|attr('__class__')]|map('attr', '__base__')|list }}",
    "{{ customer.products|map(attribute='__class__')|list }}",
    "{{ customer.products|groupby('__class__') }}",
    "{{ customer.products|sum(attribute='__class__') }}",
    "{{ customer.products|sort(attribute='__class__') }}",
    "{{ customer.products|selectattr('__class__')|list }}",
    "{{ customer|items|list }}",
    "{{ customer|dictsort }}",
    "{{ customer|pprint }}",
    "{{ customer.first_name|safe }}",
    "{{ '<script>'|safe }}",
    "{{ customer|xmlattr }}",
    "{{ customer|tojson }}",
    "{{ customer.first_name|forceescape }}",
    # Through formatting (CVE-2016-10745, CVE-2019-10906, CVE-2024-56326, CVE-2025-27516).
    "{{ '{0.__class__.__init__.__globals__}'.format(customer) }}",
    "{{ '{0.__class__}'|format(customer) }}",
    "{{ '%s'|format(customer.__class__) }}",
    "{{ '{a.__class__}'.format_map({'a': customer}) }}",
    "{{ ('{0.__class__}'|attr('format'))(customer) }}",
    "{{ '{}'.format.__self__ }}",
    "{{ '%s' % customer.__class__ }}",
    "{{ '%9999999d' % 1 }}",
    # To use up the machine.
    "{{ 9 ** 9 ** 9 ** 9 }}",
    "{{ 'a' * 10 ** 9 }}",
    "{{ [0] * 10 ** 9 }}",
    "{{ 10 ** 10000000 }}",
    "{{ range(10 ** 9) }}",
    "{% for i in range(10 ** 9) %}{% endfor %}",
    "{% for a in 'xxxxxxxx' %}{% for b in 'xxxxxxxx' %}{% endfor %}{% endfor %}",
    "{% for a in customer.products %}{% for b in customer.products %}"
    "{% for c in customer.products %}{% endfor %}{% endfor %}{% endfor %}",
    "{{ 'x'|center(10 ** 9) }}",
    "{{ 'x'|indent(10 ** 9) }}",
    "{{ 'x'|replace('x', 'xxxxxxxxxxxxxxxx') }}",
    "{{ customer.first_name ~ customer.first_name }}",
    "{{ 'x'|wordwrap(1, wrapstring='xxxxxxxxxxxxxxxxxxxxxxxx') }}",
    "{{ customer.products|batch(10 ** 9, 'x')|list }}",
    "{{ 1 // 0 }}",
    "{{ lambda: 1 }}",
    "{{ [x for x in ().__class__.__bases__] }}",
    "{{ *customer }}",
    "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    "{{ " + "not " * 5000 + "1 }}",
    # Of other engines: here they are either refused or nothing but text.
    "${{ 7 * 7 }}{{ ''.__class__ }}",
    "{{ _self.env.registerUndefinedFilterCallback('exec') }}",
    "{{ ['id']|filter('system') }}",
    "{{ ''.constructor.constructor('return process')() }}",
    "{{ this.constructor.constructor('return 1')() }}",
]
# What shows that something was reached after all: of objects, modules, files.
TRACES = (
    "<class", "<function", "<module", "<built-in", "<bound", "object at 0x", "root:x:", "uid=",
    "subclasses", "Undefined", "SECRET", "popen",
)  # fmt: skip


def test_the_corpus_is_one() -> None:
    assert len(ESCAPES) == len(set(ESCAPES)) >= 100


@pytest.mark.parametrize("kind", [Kind.HTML, Kind.TEXT, Kind.LINE])
@pytest.mark.parametrize("payload", ESCAPES, ids=range(len(ESCAPES)))
def test_nobody_gets_out(payload: str, kind: Kind) -> None:
    begun = time.process_time()
    try:
        written = compile_template(payload, kind=kind).render(to_plain(DATA))
    except (BadTemplate, Unrenderable):
        written = ""
    assert time.process_time() - begun < 2.0
    assert len(written) < 1000
    assert not any(trace in written for trace in TRACES), written


COSTLY = ("**", "10 *", "range", "'a' *", "[0] *", "(((", "not not", "% 1")


@pytest.mark.parametrize("payload", [p for p in ESCAPES if not any(c in p for c in COSTLY)])
def test_nobody_would_get_out_either_of_what_was_not_looked_at_before(payload: str) -> None:
    environment = _ENVIRONMENTS[Kind.TEXT]
    try:
        written = environment.from_string(payload).render(to_plain(DATA))
    except (TemplateError, TypeError, AttributeError):
        written = ""
    assert not any(trace in written for trace in TRACES), written


def test_the_sandbox_trusts_nothing() -> None:
    environment = _ENVIRONMENTS[Kind.TEXT]
    assert not environment.is_safe_attribute({}, "keys", {}.keys)
    assert not environment.is_safe_callable(len)
    assert is_undefined(environment.getitem([1], 5))
    assert is_undefined(environment.getitem("text", 0))


@pytest.mark.parametrize("payload", ESCAPES, ids=range(len(ESCAPES)))
def test_what_a_customer_is_called_is_never_a_template(payload: str) -> None:
    data = to_plain({**DATA, "customer": {"first_name": payload}})
    template = compile_template('{{ customer.first_name | default("x") }}', kind=Kind.TEXT)
    assert template.render(data) == payload[:MOST_OF_A_VALUE]


def render(source: str, kind: Kind = Kind.HTML, **customer: Any) -> str:
    data = {**DATA, "customer": {**DATA["customer"], **customer}}
    return compile_template(source, kind=kind).render(to_plain(data))


@pytest.mark.parametrize(
    ("source", "written"),
    [
        ('Dear {{ customer.first_name | default("friend") }}', "Dear Ana"),
        ('{{ customer.missing | default("friend") }}', "friend"),
        ('{{ customer.empty | default("friend") }}', "friend"),
        ('{{ customer.nothing | d("friend") }}', "friend"),
        ('{{ customer.missing.deeper | default("friend", true) }}', "friend"),
        ('{{ customer.first_name | default("") | upper }}', "ANA"),
        ('{{ customer["first_name"] | default("") | lower }}', "ana"),
        ('{{ customer.missing | title | default("Friend") }}', "Friend"),
        ("{{ offer.headline }}", "10% &amp; more"),
        ("{% if customer.points > 10 %}many{% else %}few{% endif %}", "many"),
        ("{% if customer.missing %}a{% elif customer.points == 12 %}b{% endif %}", "b"),
        ("{{ 'yes' if customer.points is defined else 'no' }}", "yes"),
        ('{% for p in customer.products %}{{ loop.index }} {{ p.name | d("") }};{% endfor %}',
         "1 Lamp;2 Chair;"),
        ("{% for p in customer.missing %}x{% endfor %}", ""),
        ("{{ customer.products[1].name | default('') }}", "Chair"),
        ("{{ (customer.points | default(0)) * 2 }}", "24"),
        ("{{ 1234567 | number }} {{ 123456 | cents }} {{ 0.5 | number(2) }}",
         "1,234,567 1,234.56 0.50"),
        ("{{ customer.points | d(0) | number }}{{ 'x' | number }}", "12"),
        ("{{ 'a long sentence' | truncate(7) }}|{{ 'ab' | truncate(7) }}", "a long…|ab"),
        ("{{ customer.products | length }}{{ 5 | length }}", "20"),
        ("{{ [1, 2] | first }}{{ [1, 2] | join('-') }}{{ 5 | first }}{{ 5 | join }}", "11-2"),
        ("{{ ' a ' | trim | capitalize }}", "A"),
        ("{# not a comment #}", "{# not a comment #}"),
    ],
)  # fmt: skip
def test_it_writes(source: str, written: str) -> None:
    assert render(source) == written


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("Dear {{ customer.first_name }}", "customer.first_name"),
        ("{{ customer.first_name | upper }}", "customer.first_name"),
        ("{{ customer.a | default(customer.b) }}", "customer.b"),
        ("{{ 'x' if customer.a else customer.c }}", "customer.c"),
        ("{% if customer.a %}{{ customer.a }}{% endif %}", "customer.a"),
        ("{% for p in customer.products %}{{ p.name }}{% endfor %}", "p.name"),
        ("{{ customer.products[0].name }}", "customer.products.0.name"),
        ("{{ customer.points * 2 }}", "customer.points"),
        ("{{ customer.a | default }}", "customer.a"),
    ],
)
def test_what_may_be_missing_needs_a_fallback(source: str, named: str) -> None:
    with pytest.raises(BadTemplate, match="not known") as refused:
        compile_template(source, kind=Kind.HTML)
    assert f"{{{{ {named} |" in str(refused.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ first_name }}", "“first_name” is not known"),
        ("{{ offer.hedline }}", "“offer.hedline” is none of"),
        ("{{ customer.x | shout }}", "no filter “shout”"),
        ("{{ customer.x is callable }}", "no test “callable”"),
        ("Dear {{ customer.first_name", "cannot be read"),
        ("{% if %}", "cannot be read"),
        ("{% if 1 %}" * 150 + "{% endif %}" * 150, "too deeply nested"),
        ("{{ customer.x | default(*customer.y) }}", "“\\*” cannot be used"),
        ("{% for customer in customer.products %}{% endfor %}", "another name"),
        ("{{ customer[offer.key] | default('') }}", "in the brackets"),
        ("x" * 200_001, "longer than"),
    ],
)
def test_a_mistake_is_explained(source: str, words: str) -> None:
    with pytest.raises(BadTemplate, match=words):
        compile_template(source, kind=Kind.HTML)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 900000000 * 900000000 }}",
        "{% if customer.first_name > 3 %}x{% endif %}",
        "{{ 'a' + 'b' }}",
        "{{ 1 / 0 }}",
        "{{ customer.first_name * 2 | d(1) }}",
    ],
)
def test_only_numbers_are_calculated_with(source: str) -> None:
    with pytest.raises((Unrenderable, BadTemplate)):
        render(source)


def test_what_would_be_too_long_is_not_written() -> None:
    inner = "{% for b in customer.x %}" + "y" * 200 + "{% endfor %}"
    with pytest.raises(Unrenderable, match="longer than"):
        render("{% for a in customer.x %}" + inner + "{% endfor %}", x=["z"] * 100)


@given(st.text(max_size=50))
def test_nothing_gets_out_of_a_line_of_html_or_of_json(name: str) -> None:
    source = '{{ customer.first_name | default("x") }}'
    line = render(source, Kind.LINE, first_name=name)
    assert "\r" not in line
    assert "\n" not in line
    assert line.isprintable()
    html = render(f'<a title="{source}">', Kind.HTML, first_name=name)
    assert not set("<>\"'") & set(html[len('<a title="') : -len('">')])
    document = json.loads(render(f'{{"name": "{source}"}}', Kind.JSON, first_name=name))
    assert document == {"name": name or "x"}


def test_no_json_is_said_to_be_none() -> None:
    with pytest.raises(Unrenderable, match="no JSON"):
        render('{"a": {{ customer.first_name | default("x") }}}', Kind.JSON)


def test_only_plain_data_goes_in() -> None:
    class Secret:
        password = "x"

    deep: dict[str, Any] = {}
    at = deep
    for _ in range(10):
        at["a"] = {}
        at = at["a"]
    plain = to_plain({"o": Secret(), "s": "x" * 9999, "l": list(range(999)), "d": deep, 1: (2,)})
    assert plain["o"] is None
    assert len(plain["s"]) == MOST_OF_A_VALUE
    assert len(plain["l"]) == 100
    assert plain["d"] == {"a": {"a": {"a": None}}}
    assert plain["1"] == [2]
