"""A browser as it names itself, in the few words that its owner knows it by. Pure."""

_BROWSERS = (
    ("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"),
    ("Safari", "Safari"), ("okhttp", "an Android app"), ("curl", "curl"), ("python", "a program"),
    ("aiohttp", "a program"),
)  # fmt: skip
_SYSTEMS = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"),
    ("Mac OS", "Mac"), ("Linux", "Linux"),
)  # fmt: skip


def in_words(agent: str) -> str:
    """`Firefox on Windows`; `Unknown browser` for what does not say."""
    browser = _first(_BROWSERS, agent)
    system = _first(_SYSTEMS, agent)
    if browser and system:
        return f"{browser} on {system}"
    known = browser or system or "unknown browser"
    return f"{known[:1].upper()}{known[1:]}"


def _first(known: tuple[tuple[str, str], ...], agent: str) -> str:
    return next((name for mark, name in known if mark.lower() in agent.lower()), "")
