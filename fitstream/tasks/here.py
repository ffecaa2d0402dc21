"""Jobs that a worker does itself: they wait for others and compute nothing, so that a process of
their own would cost more than they do."""

import asyncio
from typing import NamedTuple

from fitstream.errors import Conflict, FitstreamError, Unavailable
from fitstream.logs import get
from fitstream.tasks.context import JobContext
from fitstream.tasks.send_mail import send_mail
from fitstream.tasks.set_up_customers import set_up_customers

log = get(__name__)
TASKS = {"mail": send_mail, "set_up_customers": set_up_customers}


class Outcome(NamedTuple):
    """How it ended: `is_retry` for what may pass, `is_lost` when somebody else has the job."""

    words: str = ""
    is_retry: bool = False
    is_lost: bool = False


async def do_here(context: JobContext) -> Outcome:
    """The job from start to its own commit; its errors as an outcome."""
    try:
        await TASKS[context.job.kind](context)
    except Unavailable as error:
        return Outcome(str(error), is_retry=True)
    except Conflict as error:
        return Outcome(str(error), is_lost=error.code == "lease_lost")
    except FitstreamError as error:
        return Outcome(str(error) or type(error).__name__)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # a bug: the job fails, the worker goes on
        log.exception("job_failed", job_id=context.job.id)
        return Outcome(type(error).__name__)
    return Outcome()
