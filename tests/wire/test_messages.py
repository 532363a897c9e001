import json

from wire.messages import Problem, answer


def test_a_problem_is_written_as_rfc_9457_wants() -> None:
    response = Problem(409, "It is taken.", headers={"x-a": "b"}).to_response()
    assert (response.status, response.content_type) == (409, "application/problem+json")
    assert response.headers == {"x-a": "b"}
    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "It is taken.",
    }


def test_an_answer_is_json() -> None:
    response = answer({"a": [1]}, status=202)
    assert (response.status, response.content_type) == (202, "application/json")
    assert response.body == b'{"a":[1]}'
