"""Shows what `status` reads from servers, how it compares that, and what it says of faults."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from backstay.cli.scraping import Change, Scrape, merged, parsed
from backstay.cli.status_figures import figures_of
from tests.cli.conftest import Call

TOKEN = "t" * 40


def scrape(at: float, text: str) -> Scrape:
    found = parsed(text.encode())
    found.at = at
    return found


HITS = "backstay_http_requests_total"
FIRST = f"""
# TYPE {HITS} counter
{HITS}{{method="GET",route="/api/v1/items",status="200"}} 10
{HITS}{{method="GET",route="/api/v1/items",status="503"}} 0
{HITS}{{method="GET",route="/livez",status="200"}} 100
# TYPE backstay_health gauge
backstay_health{{check="cache",state="ok"}} 1
backstay_health{{check="cache",state="degraded"}} 0
# TYPE backstay_jobs_ready gauge
backstay_jobs_ready{{queue="default"}} 5
# TYPE backstay_redis_up gauge
backstay_redis_up{{address="a"}} 1
"""
SECOND = (
    FIRST.replace('status="200"} 10', 'status="200"} 28', 1)
    .replace('status="503"} 0', 'status="503"} 2')
    .replace('"/livez",status="200"} 100', '"/livez",status="200"} 900')
)
SICK = FIRST.replace('state="ok"} 1', 'state="ok"} 0').replace(
    'state="degraded"} 0', 'state="degraded"} 1'
)


def test_rates_are_of_the_time_between_reads() -> None:
    found = figures_of(Change(scrape(0, FIRST), scrape(2, SECOND)), {"http://a": ""})
    assert found["requests"] is not None
    assert found["requests"]["per_second"] == 10
    assert found["requests"]["failed_share"] == pytest.approx(0.1)
    assert [each["route"] for each in found["requests"]["routes"]] == ["/api/v1/items"]


def test_a_counter_that_fell_began_again() -> None:
    change = Change(scrape(0, SECOND), scrape(1, FIRST))
    assert change.grown(HITS, status="200", route="/api/v1/items") == 10


def test_several_servers_are_added_but_not_what_they_share() -> None:
    down = SICK.replace('address="a"} 1', 'address="a"} 0')
    whole = merged([scrape(0, FIRST), scrape(1, down)])
    assert whole.total(HITS, route="/api/v1/items") == 20
    assert whole.total("backstay_jobs_ready") == 5
    assert whole.total("backstay_redis_up") == 0
    assert figures_of(Change(whole, whole), {})["health"] == {"cache": "degraded"}


@pytest.mark.parametrize(
    ("share", "quantile"), [(0.5, 0.1), (0.75, 0.6625), (0.99, 1.0), (0.1, 0.02)]
)
def test_quantiles_are_those_of_prometheus(share: float, quantile: float) -> None:
    counts = {"0.1": 5, "1.0": 9, "+Inf": 10}
    before = scrape(0, "")
    now = Scrape(1, {"x_bucket": {frozenset({("le", le)}): n for le, n in counts.items()}})
    assert Change(before, now).quantile(share, "x") == pytest.approx(quantile)


class _Answers(BaseHTTPRequestHandler):
    """Metrics for the token, and a redirect that would take the token elsewhere."""

    seen: list[str]

    def do_GET(self) -> None:
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        if self.path == "/moved/metrics":
            self.send_response(302)
            self.send_header("Location", "/metrics")
            self.end_headers()
            return
        allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
        body = b"\xff junk" if self.path == "/junk/metrics" else FIRST.encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as found:
        found.seen = []  # type: ignore[attr-defined]
        Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        found.shutdown()


def test_one_read_is_shown_where_there_is_no_terminal(
    call: Call, server: ThreadingHTTPServer
) -> None:
    url = f"http://127.0.0.1:{server.server_port}"
    shown = call("status", url, "--interval", "0.5", APP_METRICS_TOKEN=TOKEN)
    assert (shown.code, shown.errors) == (0, "")
    assert f"{url}  answers" in shown.output
    assert "default" in shown.output
    as_json = call("status", url, "--interval", "0.5", "--once", "--json", APP_METRICS_TOKEN=TOKEN)
    assert json.loads(as_json.output)["jobs"]["queues"] == {
        "default": {"ready": 5.0, "oldest_seconds": 0.0}
    }


@pytest.mark.parametrize(
    ("path", "token", "told"),
    [
        ("", "wrong" * 8, "refuses the token"),
        ("/moved", TOKEN, "answers 302"),
        ("/junk", TOKEN, "something that is no metrics"),
    ],
)
def test_a_server_without_metrics_is_told_of(
    call: Call, server: ThreadingHTTPServer, path: str, token: str, told: str
) -> None:
    url = f"http://127.0.0.1:{server.server_port}{path}"
    shown = call("status", url, "--interval", "0.5", APP_METRICS_TOKEN=token)
    assert shown.code == 1
    assert told in shown.output
    assert token not in shown.output + shown.errors
    assert set(server.seen) == {f"{path}/metrics"}  # type: ignore[attr-defined]


def test_an_address_that_is_none_is_refused(call: Call) -> None:
    refused = call("status", "127.0.0.1:8000")
    assert refused.code == 2
    assert "no address of a server" in " ".join(refused.errors.replace("│", "").split())
