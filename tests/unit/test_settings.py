"""Settings come from named variables; whatever is wrong is named, and secrets are never shown."""

import logging

import msgspec
import pytest

from fitstream.settings import PREFIX, SECRET_FIELDS, Settings, SettingsError, load, shown
from tests.factories import KEY, OLD_KEY, SETTINGS


def complaint(**changed: str) -> str:
    with pytest.raises(SettingsError) as error:
        load(SETTINGS | {PREFIX + name: value for name, value in changed.items()})
    return str(error.value)


def test_variables_become_settings_and_the_rest_of_the_environment_is_ignored() -> None:
    found = load(SETTINGS | {"FITSTREAM_PORT": "99", "FITSTREAM_GRACE_HOURS": "0.5", "PATH": "x"})
    assert (found.port, found.grace_hours, found.secret_key) == (99, 0.5, KEY)
    assert found.rows_max == 2000


@pytest.mark.parametrize("name", ["KAFKA", "POSTGRES", "REDIS", "SECRET_KEY"])
def test_a_missing_variable_is_named(name: str) -> None:
    environ = {key: value for key, value in SETTINGS.items() if key != PREFIX + name}
    with pytest.raises(SettingsError, match=PREFIX + name + " is not set"):
        load(environ)


@pytest.mark.parametrize("name", ["PROT", "PORT_", "_PORT", "KAFKA_URL", ""])
def test_an_unknown_variable_is_named(name: str) -> None:
    assert f"{PREFIX}{name} is not a setting" in complaint(**{name: "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", ""),
        ("PORT", "80.5"),
        ("PORT", "65536"),
        ("METRICS_PORT", "-1"),
        ("SMTP_PORT", "99999"),
        ("ROWS_MAX", "0"),
        ("ROWS_MAX", "-1"),
        ("ACK_TIMEOUT_S", "0"),
        ("ACK_TIMEOUT_S", "nan"),
        ("ACK_TIMEOUT_S", "inf"),
        ("CLOCK_OFFSET_S", "nan"),
        ("NIGHTLY_HOUR_UTC", "24"),
        ("GRACE_HOURS", "six"),
    ],
)
def test_an_ill_typed_variable_is_named(name: str, value: str) -> None:
    assert complaint(**{name: value}).startswith(f"{PREFIX}{name}: ")


def test_every_setting_with_a_secret_is_known_as_one() -> None:
    assert set(SECRET_FIELDS) <= set(Settings.__struct_fields__)
    hidden = [name for name in Settings.__struct_fields__ if "secret" in name]
    assert set(hidden) <= set(SECRET_FIELDS)


def test_secrets_are_shown_as_stars(caplog: pytest.LogCaptureFixture) -> None:
    settings = load(SETTINGS | {"FITSTREAM_SECRET_KEY_OLD": OLD_KEY})
    for name in ("secret_key", "secret_key_old", "postgres", "redis"):
        assert shown(settings)[name] == "***"
    assert shown(settings)["s3_secret_key"] == ""
    assert shown(settings)["kafka"] == "127.0.0.1:9092"
    with caplog.at_level(logging.WARNING):
        logging.getLogger("test").warning("%s %r", settings, {"settings": settings})
    for text in (repr(settings), str(settings), f"{settings}", caplog.text):
        assert "***" in text
        for secret in (KEY, OLD_KEY, "hidden"):
            assert secret not in text


def test_a_complaint_tells_no_secret() -> None:
    assert "tops3cret" not in complaint(ACK_TIMEOUT_S="tops3cret")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        load(SETTINGS).port = 1  # type: ignore[misc]


def test_settings_differ_only_where_they_were_replaced() -> None:
    assert msgspec.structs.replace(load(SETTINGS), port=8080) == load(SETTINGS)
