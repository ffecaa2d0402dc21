"""The decoders of posts take any bytes: they give verdicts or refuse, and nothing else happens."""

import json
from collections.abc import Callable
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from fitstream import events, posts, samples
from fitstream.errors import Rejected
from fitstream.samples import Decoded
from tests.factories import NOW, envelope, slot_text

ROWS_MAX = 50
SPECIAL = [float("nan"), float("inf"), -0.0, 1e308, 2**63, -(2**63), 2**2000, "\ud800", "\x00", ""]
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
leaves |= st.sampled_from(SPECIAL)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
fields = st.sampled_from([*samples.SampleRow.__struct_fields__, "unknown", "\ud800"])
rows = st.dictionaries(fields, values | st.just(slot_text()), max_size=6) | values
cells = st.text(
    alphabet=st.sampled_from(list('slot,"\n\r;\x00\ufeff09.eE-+NaN\ud83d ')), max_size=60
)


def judged(decoded: Decoded) -> None:
    """Every row has its place: accepted, or refused with a code; what is accepted travels."""
    checked = samples.check(decoded, samples.window(NOW, 400))
    assert all(row.code for row in checked.rejected)
    assert len({row.index for row in checked.rejected}) == len(checked.rejected)
    assert checked.accepted + len(checked.rejected) == len(decoded.rows) + len(decoded.rejected)
    assert len(list(events.rows(checked.columns))) == checked.accepted


def _refused_or_judged(decode: Callable[[], Decoded]) -> Decoded | None:
    """What was decoded, once judged; None for what was refused as the caller's fault."""
    try:
        decoded = decode()
    except Rejected as refused:
        if not 400 <= refused.status < 500:
            raise
        return None
    judged(decoded)
    return decoded


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_judged(body: bytes) -> None:
    for decode in (
        lambda: posts.decode_json(body, ROWS_MAX),
        lambda: posts.decode_csv(body, {"device_id": "d", "sent_at": slot_text()}, ROWS_MAX),
    ):
        _refused_or_judged(decode)


@settings(deadline=None, max_examples=100)
@given(st.lists(rows, max_size=5))
def test_any_rows_are_refused_or_judged(found: list[object]) -> None:
    body = json.dumps({**envelope(), "samples": found}).encode()
    decoded = _refused_or_judged(lambda: posts.decode_json(body, ROWS_MAX))
    assert decoded is None or len(decoded.rows) + len(decoded.rejected) == len(found)


@settings(deadline=None, max_examples=100)
@given(cells)
def test_any_lines_of_csv_are_refused_or_judged(text: str) -> None:
    body = ("slot,steps,rev\n" + text).encode("utf-8", errors="surrogatepass")
    query = {"device_id": "dev_1", "sent_at": slot_text()}
    _refused_or_judged(lambda: posts.decode_csv(body, query, ROWS_MAX))


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300))
def test_any_bytes_of_a_topic_are_refused_or_decoded(value: bytes) -> None:
    with suppress(Rejected):
        events.decode(value)
