"""What Twilio notes about calls, the account for `setup`, and how its SDK is used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from engine.carriers.base import (
    CarrierError,
    Connect,
)
from engine.carriers.twilio import TwilioCarrier
from engine.carriers.twilio_account import Access, alert
from engine.carriers.twilio_signature import SigningKeys
from engine.clock import epoch_ms
from tests.carriers.twilio_far import OUR_NUMBER
from tests.carriers.twilio_line import FAR, URL, Line, line


@pytest.fixture
async def phone() -> AsyncIterator[Line]:
    async with line() as found:
        yield found


# 1.7 Error codes users meet


async def test_trouble_with_a_stream_is_told_with_its_number_and_what_to_do(phone: Line) -> None:
    """Trap 1.5/socket-errors."""
    phone.desk.refuse_streams = True
    document = phone.carrier.render((Connect(phone.desk.socket_url(), "t"),))
    phone.desk.documents["/voice/webhook"] = document.body.decode()
    call = await phone.dial()
    await call.until_over()
    notes = await phone.carrier.alerts(call.state.sid)
    assert [(note.code, note.error) for note in notes] == [("31920", True)]
    assert "Handshake Error" in notes[0].message and "101" in notes[0].message
    assert notes[0].link.endswith("/31920") and notes[0].url == phone.desk.socket_url()
    assert notes[0].at is not None and abs(notes[0].at - epoch_ms()) < 60_000


async def test_trouble_with_a_document_is_told_too(phone: Line) -> None:
    """Trap 1.7/told."""
    phone.desk.documents["/voice/webhook"] = (200, "application/json", b"{}")
    call = await phone.dial()
    await call.until_over()
    assert [note.code for note in await phone.carrier.alerts(call.state.sid)] == ["12300"]


def test_a_notice_is_read_whichever_way_its_text_is_written() -> None:
    query = alert("NO1", "11200", "0", "LogLevel=ERROR&Msg=Got+HTTP+502&httpResponse=502", "", None, "")
    words = alert("NO1", "99999", "1", "Something new", "", None, "")
    assert query.message.startswith("Got HTTP 502; ") and query.link.endswith("/11200") and query.error
    assert (words.message, words.error) == ("Something new", False)
    assert alert("NO1", "", "0", "", "", None, "").message


# the account, for setup


async def test_setup_reads_the_account_and_its_number_and_writes_the_addresses(phone: Line) -> None:
    carrier = phone.carrier
    account = await carrier.account()
    assert (account.sid, account.status, account.type) == (FAR.account_sid, "active", "Full")
    number = await carrier.number(OUR_NUMBER)
    assert number is not None and number.voice and number.voice_url == ""
    changed = await carrier.set_number_urls(number.sid, URL, f"{URL}?type=status")
    assert changed == await carrier.number(OUR_NUMBER)
    assert (changed.voice_url, changed.voice_method) == (URL, "POST")
    assert (changed.status_callback, changed.status_callback_method) == (f"{URL}?type=status", "POST")


async def test_a_number_that_only_holds_ours_is_not_ours(phone: Line) -> None:
    phone.far.add_number(OUR_NUMBER + "1")
    number = await phone.carrier.number(OUR_NUMBER)
    assert number is not None and number.number == OUR_NUMBER
    assert await phone.carrier.number("+1555010") is None


async def test_geo_permissions_are_read_where_twilio_tells_them(phone: Line) -> None:
    assert await phone.carrier.dialing_permission("US") is True
    assert await phone.carrier.dialing_permission("CU") is False
    assert await phone.carrier.dialing_permission("ZZ") is None
    phone.far.fail("permission", "20003")
    assert await phone.carrier.dialing_permission("US") is None


async def test_twilios_clock_is_known_to_about_a_second(phone: Line) -> None:
    phone.far.ahead_s = 600
    assert abs(await phone.carrier.server_time() - epoch_ms() - 600_000) < 1500


async def test_wrong_credentials_say_what_to_check(phone: Line) -> None:
    """Trap 1.1/path-and-auth."""
    access = Access(FAR.account_sid, "wrong", base_url=phone.far.base_url)
    carrier = TwilioCarrier(access, SigningKeys(("wrong",), {}), voice="", language="")
    await carrier.open()
    with pytest.raises(CarrierError) as caught:
        await carrier.account()
    await carrier.close()
    assert caught.value.code == "20003" and "twilio.auth_token" in str(caught.value)


# the SDK


@pytest.mark.parametrize(
    ("region", "edge", "host"),
    [
        ("", "", "api.twilio.com"),
        ("ie1", "dublin", "api.dublin.ie1.twilio.com"),
        ("ie1", "", "api.dublin.ie1.twilio.com"),
        ("au1", "", "api.sydney.au1.twilio.com"),
        ("", "frankfurt", "api.frankfurt.us1.twilio.com"),
    ],
)
async def test_region_and_edge_are_both_in_the_host_name_and_the_environment_has_no_say(
    monkeypatch: pytest.MonkeyPatch, region: str, edge: str, host: str
) -> None:
    """Trap 1.1/region-and-edge."""
    from engine.carriers import twilio_rest

    asked: list[str] = []

    async def request(self: object, method: str, url: str, **_: object) -> None:
        asked.append(urlsplit(url).hostname or "")
        raise TimeoutError

    monkeypatch.setenv("TWILIO_REGION", "br1")
    monkeypatch.setenv("TWILIO_EDGE", "sao-paulo")
    monkeypatch.setattr(twilio_rest._Http, "request", request)
    rest = twilio_rest.TwilioRest(Access(FAR.account_sid, "token", region, edge))
    with pytest.raises(CarrierError):
        await rest.account()
    await rest.close()
    assert asked == [host]


async def test_a_base_url_may_have_a_path_of_its_own(phone: Line) -> None:
    access = Access(FAR.account_sid, FAR.auth_token, base_url=f"{phone.far.base_url}/proxy/")
    carrier = TwilioCarrier(access, SigningKeys((), {}), voice="", language="")
    await carrier.open()
    with pytest.raises(CarrierError) as caught:
        await carrier.account()
    await carrier.close()
    assert caught.value.code == "404"  # the far end has nothing below /proxy


def test_the_sdk_is_imported_when_a_carrier_is_opened_and_not_before() -> None:
    code = "import sys, engine.carriers.twilio, engine.carriers.factory; print('twilio.rest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
