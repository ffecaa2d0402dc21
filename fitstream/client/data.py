"""What the API answers, as types: clients and both kinds of pages read these.

Unknown fields are ignored, so that the API may grow; a metric that is absent was not measured.
"""

from datetime import date, datetime
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


class Items(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list and the cursor of the next one."""

    items: list[T]
    next: str | None = None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Metrics of a slot, an hour or a day."""

    steps: float | None = None
    distance_m: float | None = None
    calories_kcal: float | None = None
    heart_rate_bpm: float | None = None
    heart_rate_min_bpm: float | None = None
    heart_rate_max_bpm: float | None = None
    light_min: float | None = None
    moderate_min: float | None = None
    vigorous_min: float | None = None
    sedentary_min: float | None = None
    sleep_min: float | None = None
    floors: float | None = None

    def value(self, metric: str) -> float | None:
        """The metric of that name; an unknown name is a bug: AttributeError."""
        found: float | None = getattr(self, metric)
        return found


METRICS = Measured.__struct_fields__


class Hour(Measured, frozen=True, kw_only=True):
    """A local hour: how many of its slots were sent and measured."""

    hour: int
    measured: int = 0
    slots: int = 0


class Quarter(Measured, frozen=True, kw_only=True):
    """One slot over all devices."""

    slot: datetime
    device_id: str = ""


class Reading(Measured, frozen=True, kw_only=True):
    """A row of the ledger as its device sent it; combined over devices without `rev` and after."""

    slot: datetime
    device_id: str
    tz_offset_min: int = 0
    rev: int = 0
    received_at: datetime | None = None


class Day(Measured, frozen=True, kw_only=True):
    """A local day."""

    day: date
    measured: int
    slots: int
    worn: bool


class HeartZone(msgspec.Struct, frozen=True, kw_only=True):
    """Minutes of a day in a range of heart rates."""

    name: str
    minutes: int | None = None
    min_bpm: int | None = None
    max_bpm: int | None = None
    kcal: float | None = None


class DailySummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a day came to as a whole, told by `provenance`; it is no sum of slots.

    Distances are in the sender's unit; what was not said is absent.
    """

    day: date
    provenance: str
    recorded_at: datetime
    received_at: datetime
    steps: int | None = None
    active_score: int | None = None
    activity_kcal: float | None = None
    bmr_kcal: float | None = None
    out_kcal: float | None = None
    marginal_kcal: float | None = None
    total_distance: float | None = None
    tracker_distance: float | None = None
    logged_distance: float | None = None
    very_active_distance: float | None = None
    moderate_distance: float | None = None
    light_distance: float | None = None
    sedentary_distance: float | None = None
    very_active_min: int | None = None
    light_min: int | None = None
    sedentary_min: int | None = None
    resting_heart_rate_bpm: int | None = None
    heart_zones: list[HeartZone] = []


class Score(msgspec.Struct, frozen=True):
    """The activity score and how far its data can be trusted."""

    value: int
    confidence: float
    parts: dict[str, float] = {}


class HoursOfDay(msgspec.Struct, frozen=True, kw_only=True):
    """One local day by the hour beside the usual one."""

    day: date
    zone: str
    items: list[Hour]
    usual: list[Hour]
    quarters: list[Quarter] = []
    last_slot: datetime | None = None
    score: Score | None = None


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Who wears."""

    id: str
    zone: str
    programme: str = ""
    external_id: str | None = None
    email: str | None = None
    name: str | None = None
    consents: dict[str, bool] = {}
    created_at: datetime
    deactivated_at: datetime | None = None
    last_contact_at: datetime | None = None
    samples: int = 0

    @property
    def label(self) -> str:
        """The name that people know the customer by."""
        return self.external_id or self.name or self.id


class Programme(msgspec.Struct, frozen=True):
    """A study or scheme: every customer belongs to one, and some let people join by themselves."""

    id: str
    name: str
    open_registration: bool = False


class AccountMade(msgspec.Struct, frozen=True):
    """The login that a customer has now."""

    account_id: str | None


class ServerTime(msgspec.Struct, frozen=True):
    """The server's clock, and the number of the current slot."""

    now: datetime
    slot: int


class Health(msgspec.Struct, frozen=True):
    """The process runs."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Whether the process can do its work; of each service `ok`, or what it said."""

    status: str
    postgres: str
    kafka: str


class Jwk(msgspec.Struct, frozen=True):
    """A public key (RFC 7517, RFC 8037)."""

    kty: str
    crv: str
    x: str
    kid: str
    alg: str = "EdDSA"
    use: str = "sig"


class JwkSet(msgspec.Struct, frozen=True):
    """Public keys, the one in use first."""

    keys: list[Jwk]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who is logged in."""

    id: str | None = None
    email: str | None = None
    role: str | None = None
    customer_id: str | None = None


class Me(msgspec.Struct, frozen=True):
    """Who is logged in, and as which customer."""

    account: Account
    customer: Customer | None = None


class LoggedIn(msgspec.Struct, frozen=True):
    """A new session."""

    token: str
    expires_at: datetime
    account: Account


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What posts for one customer."""

    id: str
    kind: str
    name: str
    priority: int
    created_at: datetime
    removed_at: datetime | None = None
    last_contact_at: datetime | None = None
    complete_through: datetime | None = None
    app_version: str | None = None
    clock_skew_s: float | None = None
    post_interval_s: int | None = None
    paused: bool = False


class DeviceSettings(msgspec.Struct, frozen=True):
    """What a device is told with each receipt: seconds between posts, and whether to measure."""

    post_interval_s: int
    paused: bool


class PairingBegun(msgspec.Struct, frozen=True, kw_only=True):
    """What a device shows (`user_code`, or the complete address as a QR code) and polls with."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


class PairingOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A code that a customer's page shows, and the address for a phone to scan."""

    code: str
    redeem_uri: str
    expires_at: datetime


class PairingAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The device that shows a code: what its person should compare before they say yes."""

    kind: str
    name: str
    app_version: str | None = None
    created_at: datetime
    expires_at: datetime


class PairingDecided(msgspec.Struct, frozen=True):
    """What became of a pairing: `approved` or `denied`."""

    state: str
    kind: str
    name: str


class NewDevice(Device, frozen=True, kw_only=True):
    """A device that was just made, with the key it posts with: shown once."""

    key: str


class PairedDevice(NewDevice, frozen=True, kw_only=True):
    """A device that was just paired: itself, its key, and how it should post."""

    settings: DeviceSettings


class KeyMade(msgspec.Struct, frozen=True):
    """A key that was just made: shown once; `old_until` is when the ones before end."""

    key: str
    old_until: datetime | None = None


class RejectedRow(msgspec.Struct, frozen=True):
    """Verdict on a row that was not accepted; `retry` says whether sending it later can help."""

    index: int
    code: str
    message: str
    retry: bool = False


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a 202 says: where the accepted rows stand, and what became of the others."""

    batch_id: str
    device_id: str
    generation: int
    partition: int
    offset: int
    accepted: int
    content_sha: str
    rejected: list[RejectedRow]
    server_time: datetime
    next_post_at: datetime
    settings: DeviceSettings | None = None
    missing: list[tuple[datetime, datetime]] | None = None
    receipt_jws: str | None = None


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One published state of a week."""

    version: int
    created_at: datetime
    reason: str
    rows: int
    measured: int
    content_sha: str = ""
    sha256: str = ""
    object_key: str = ""
    changed: dict[str, Any] = {}


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """A civil week: its half-open range, how much of it was measured, and its state."""

    week: str
    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    slots: int
    measured: int
    state: str
    current_version: int | None = None
    versions: list[Version] = []


class SlotState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one slot."""

    slot: datetime
    state: str
    steps: float | None = None
    code: str | None = None


class WeekSlots(msgspec.Struct, frozen=True, kw_only=True):
    """The slots of a week that have begun."""

    week: str
    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    zone: str
    slots: list[SlotState]


class Quantiles(msgspec.Struct, frozen=True):
    """The forecast of one slot."""

    slot: datetime
    q10: float
    q50: float
    q90: float
    mean: float


class BasedOn(msgspec.Struct, frozen=True):
    """The week version a forecast rests on."""

    week: str
    version: int | None = None


class DayTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Total of a whole local day, of heart rates its mean; 8 in 10 such days lie in low … high.

    `slots` of it lie in the forecast; `own_days` is how many of the customer's days it rests on.
    """

    day: date
    slots: int
    own_days: int
    low: float
    mean: float
    high: float


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles per slot, issued at one instant, and the totals of the days they tell of."""

    id: str = ""
    target: str
    horizon: str = "96"
    issued_at: datetime
    model_id: str
    model_kind: str = ""
    basis: str = ""
    based_on: BasedOn | None = None
    data_through: datetime | None = None
    items: list[Quantiles]
    totals: list[DayTotal] = []
