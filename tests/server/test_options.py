"""Shows that all options reach the parent of a server through its command line."""

from backstay.server.options import Options, options_from


def test_options_survive_their_way_through_a_command_line() -> None:
    options = Options(
        type="uvicorn",
        host="::1",
        port=8000,
        workers=2,
        threads=1,
        timeout=60,
        graceful_timeout=30,
        reload=None,
        supervisor=4711,
    )
    assert options_from(options.command()[-1]) == options
