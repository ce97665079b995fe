"""One log file, rotated and shared by processes; its library is imported only with it."""

import logging

import structlog
from concurrent_log_handler import ConcurrentRotatingFileHandler


class RotatedFile(ConcurrentRotatingFileHandler):
    """A log file; why it cannot be written is logged once, elsewhere."""

    _is_reported = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Log once why the file cannot be written; that reaches at least standard error."""
        if not self._is_reported:
            self._is_reported = True
            log = structlog.get_logger("backstay.server")
            log.exception("a log file cannot be written", file=self.baseFilename)
