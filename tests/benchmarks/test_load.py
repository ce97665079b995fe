"""What wrk is given to send, and what is read from its answer."""

import pytest

from benchmarks.load import Measured, Request, failure, measured

FIGURES = """\
Running 2s test @ http://127.0.0.1:1/
  Latency Distribution
     50%    1.50ms
     75%    2.00ms
     99%    2.00s
  200 requests in 2.00s, 25.29KB read
"""
RATE = "Requests/sec:    100.50\n"


def test_a_request_is_written_as_http() -> None:
    request = Request("http://host:80/items?limit=20", headers={"Authorization": "Bearer x"})
    assert request.sent == (
        b"GET /items?limit=20 HTTP/1.1\r\nHost: host:80\r\nUser-Agent: wrk\r\n"
        b"Authorization: Bearer x\r\n\r\n"
    )


def test_the_length_of_a_body_counts_bytes() -> None:
    sent = Request("http://host/items", "POST", '"é"').sent
    assert b"\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n" in sent
    assert sent.endswith('"é"'.encode())


def test_figures_are_read_in_their_units() -> None:
    assert measured(FIGURES + RATE, used=0.5) == Measured(200, 100.5, 1.5, 2000.0, 2500.0)


@pytest.mark.parametrize(
    ("out", "sentence"),
    [
        (FIGURES, "something unexpected"),
        (FIGURES.replace("200 requests", "0 requests") + RATE, "no request was answered"),
    ],
)
def test_a_burst_without_figures_is_an_error(out: str, sentence: str) -> None:
    with pytest.raises(RuntimeError, match=sentence):
        measured(out, used=0.5)


@pytest.mark.parametrize(
    "said", ["Non-2xx or 3xx responses: 354", "Socket errors: connect 0, read 3, write 0"]
)
def test_a_failure_tells_the_answer(said: str) -> None:
    out = f"{FIGURES}  {said}\n{RATE}"
    assert (
        failure(out, '429 {"code": "rate_limited"}\n') == f'{said}\n429 {{"code": "rate_limited"}}'
    )


def test_a_success_is_no_failure() -> None:
    assert failure(FIGURES + RATE, "") == ""
