"""Settings of the unit tests: plain logs, laws tried often enough and never by the clock."""

import structlog
from hypothesis import settings

structlog.configure(  # plain lines that pytest captures; the default draws every local variable
    processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()],
    logger_factory=structlog.stdlib.LoggerFactory(),
)
settings.register_profile("unit", max_examples=60, deadline=None)
settings.load_profile("unit")
