"""Settings: one error lists everything that is wrong, and never shows a secret."""

from pathlib import Path

import msgspec
import pytest

from cafeteria.chassis.runtime.settings import (
    LogLevel,
    Secret,
    ServiceSettings,
    SettingsError,
    load_settings,
)


class StoveSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of a made-up service."""

    fastest_s: float = msgspec.field(name="STOVE_FASTEST_S", default=3.0)
    slowest_s: float = msgspec.field(name="STOVE_SLOWEST_S", default=7.0)
    is_lit: bool = msgspec.field(name="STOVE_LIT", default=False)
    stations: int = msgspec.field(name="STOVE_STATIONS", default=50)

    def __post_init__(self) -> None:
        if self.fastest_s > self.slowest_s:
            raise ValueError("STOVE_FASTEST_S must not be above STOVE_SLOWEST_S.")


def sentences_of(
    environ: dict[str, str], settings_type: type[ServiceSettings] = ServiceSettings
) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(settings_type, environ)
    return caught.value.sentences


def test_an_unset_variable_has_its_default(environ: dict[str, str]) -> None:
    settings = load_settings(ServiceSettings, environ)
    assert (settings.host, settings.port, settings.allowed_origins) == ("127.0.0.1", None, ())
    assert settings.postgres_password.reveal() == "pg-hidden"


def test_a_services_port_is_the_base_plus_its_offset_unless_a_port_is_set(environ: dict[str, str]) -> None:
    moved = load_settings(ServiceSettings, {**environ, "CAFETERIA_PORT_BASE": "9000"})
    assert [moved.listen_port(service) for service in ("gateway", "notification")] == [9000, 9004]
    fixed = load_settings(ServiceSettings, {**environ, "CAFETERIA_PORT": "0"})
    assert fixed.listen_port("stock") == 0


@pytest.mark.parametrize("url", ["tls://127.0.0.1:4222", "nats://user:hidden@127.0.0.1", "127.0.0.1:4222"])
def test_a_bus_address_with_tls_or_credentials_is_refused(environ: dict[str, str], url: str) -> None:
    [sentence] = sentences_of({**environ, "CAFETERIA_NATS_URL": url})
    assert sentence.startswith("CAFETERIA_NATS_URL must be a URL like nats://")
    assert "hidden" not in sentence


def test_every_wrong_variable_gets_its_own_sentence(environ: dict[str, str]) -> None:
    del environ["CAFETERIA_NATS_URL"]
    wrong = {
        "CAFETERIA_PORT": "seventy",
        "CAFETERIA_PORT_BASE": "70000",
        "CAFETERIA_LOG_LEVEL": "loud",
        "CAFETERIA_ALLOWED_ORIGINS": "https://canteen.example, *",
        "STOVE_STATIONS": "many",
        "STOVE_LIT": "perhaps",
        "STOVE_FASTEST_S": "soon",
    }
    sentences = sentences_of({**environ, **wrong}, StoveSettings)
    named = [sentence.split()[0] for sentence in sentences]
    assert sorted(named) == sorted([*wrong, "CAFETERIA_NATS_URL"])
    assert "CAFETERIA_LOG_LEVEL must be one of debug, info, warning, error." in sentences
    assert "CAFETERIA_PORT must be a port number from 0 to 65535." in sentences
    assert "STOVE_STATIONS must be a whole number." in sentences
    assert all(sentence.endswith(".") for sentence in sentences)


def test_without_any_variable_all_required_ones_are_named() -> None:
    named = [sentence.split()[0] for sentence in sentences_of({})]
    assert named == [
        "CAFETERIA_POSTGRES_URL",
        "CAFETERIA_POSTGRES_PASSWORD",
        "CAFETERIA_NATS_URL",
        "CAFETERIA_NATS_PASSWORD",
    ]


def test_a_rule_over_two_variables_is_reported_too(environ: dict[str, str]) -> None:
    environ["STOVE_FASTEST_S"] = "9"
    assert sentences_of(environ, StoveSettings) == ("STOVE_FASTEST_S must not be above STOVE_SLOWEST_S.",)


def test_a_variable_may_be_read_from_a_file(environ: dict[str, str], tmp_path: Path) -> None:
    del environ["CAFETERIA_NATS_PASSWORD"]
    path = tmp_path / "password"
    path.write_text("from a file \n")
    environ["CAFETERIA_NATS_PASSWORD_FILE"] = str(path)
    assert load_settings(ServiceSettings, environ).nats_password == Secret("from a file ")


def test_a_variable_set_both_ways_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    environ["CAFETERIA_NATS_PASSWORD_FILE"] = str(tmp_path)
    assert sentences_of(environ) == (
        "CAFETERIA_NATS_PASSWORD and CAFETERIA_NATS_PASSWORD_FILE are both set: keep one of them.",
    )


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"\n"])
def test_a_file_without_readable_text_is_an_error_with_the_variables_name(
    environ: dict[str, str], tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    del environ["CAFETERIA_NATS_PASSWORD"]
    environ["CAFETERIA_NATS_PASSWORD_FILE"] = str(path)
    (sentence,) = sentences_of(environ)
    assert sentence.startswith("CAFETERIA_NATS_PASSWORD")


def test_an_empty_variable_counts_as_absent(environ: dict[str, str]) -> None:
    environ |= {"CAFETERIA_PORT": "", "CAFETERIA_NATS_PASSWORD": ""}
    (sentence,) = sentences_of(environ)
    assert sentence.startswith("CAFETERIA_NATS_PASSWORD is not set")


def test_a_list_is_split_at_commas_and_a_level_may_be_in_capitals(environ: dict[str, str]) -> None:
    environ |= {
        "CAFETERIA_ALLOWED_ORIGINS": "https://a.example, http://b.example:81,",
        "CAFETERIA_LOG_LEVEL": "WARNING",
    }
    settings = load_settings(ServiceSettings, environ)
    assert settings.allowed_origins == ("https://a.example", "http://b.example:81")
    assert settings.log_level is LogLevel.WARNING


def test_a_password_in_the_wrong_place_is_not_repeated(environ: dict[str, str]) -> None:
    environ["CAFETERIA_POSTGRES_URL"] = "postgresql://admin:pg-hidden@127.0.0.1/cafeteria"
    (sentence,) = sentences_of(environ)
    assert "without a user or password" in sentence
    assert "pg-hidden" not in sentence


def test_a_secret_is_hidden_in_every_text_form(environ: dict[str, str]) -> None:
    settings = load_settings(ServiceSettings, environ)
    secret = settings.nats_password
    shown = [repr(settings), repr(secret), str(secret), f"{secret}", "%s" % secret, repr([secret])]  # noqa: UP031 - every way to show
    assert not any("hidden" in text for text in shown)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)


def test_a_process_keeps_its_name_after_a_crash_and_one_on_any_free_port_has_its_own(
    environ: dict[str, str],
) -> None:
    named = load_settings(ServiceSettings, {**environ, "CAFETERIA_PORT_BASE": "9000"})
    assert named.instance("kitchen") == named.instance("kitchen")
    assert named.instance("kitchen").endswith(":9003")
    anywhere = load_settings(ServiceSettings, {**environ, "CAFETERIA_PORT": "0"})
    assert anywhere.instance("kitchen") != anywhere.instance("kitchen")


@pytest.mark.parametrize("days", ["0", "8", "3650"])
def test_all_is_kept_or_at_least_for_eight_days(environ: dict[str, str], days: str) -> None:
    assert load_settings(ServiceSettings, {**environ, "CAFETERIA_KEEP_DAYS": days}).keep_days == int(days)


@pytest.mark.parametrize("days", ["1", "7", "-8", "8.5", "a week"])
def test_fewer_days_than_a_stream_keeps_a_message_are_refused(environ: dict[str, str], days: str) -> None:
    [sentence] = sentences_of({**environ, "CAFETERIA_KEEP_DAYS": days})
    assert (
        sentence == "CAFETERIA_KEEP_DAYS must be 0 to keep everything, or a whole number of days from 8 on."
    )
