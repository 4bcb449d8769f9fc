import pytest

from lab.twiml import MAX_TWIML_BYTES, TwimlError, parse_twiml
from lab.twiml_verbs import (
    Connect,
    Dial,
    DialTarget,
    Enqueue,
    Hangup,
    Pause,
    Play,
    Redirect,
    Refer,
    Reject,
    Say,
    Stream,
    Verb,
)

URL = "wss://edge.example.com/twilio/media/tok"


def response(inner: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Response>{inner}</Response>'.encode()
    )


def connect(stream: str) -> bytes:
    return response(f"<Connect>{stream}</Connect>")


def test_connect_stream_is_read_with_everything_it_may_carry() -> None:
    verbs = parse_twiml(
        response(
            f"""
            <Connect action="/twilio/resume/1" method="POST">
              <Stream url="{URL}" name="s" statusCallback="https://e.example/cb">
                <Parameter name="traceparent" value="00-ab&amp;cd"/>
                <Parameter name="empty" value=""/>
              </Stream>
            </Connect>
            <Redirect method="GET">/again</Redirect>
            """
        )
    )
    stream = Stream(
        url=URL,
        name="s",
        parameters={"traceparent": "00-ab&cd", "empty": ""},
        status_callback="https://e.example/cb",
    )
    assert verbs == (Connect(stream, "/twilio/resume/1"), Redirect("/again", "GET"))


@pytest.mark.parametrize(
    ("inner", "verb"),
    [
        ("<Hangup/>", Hangup()),
        ("<Play loop='2'>/busy.wav</Play>", Play("/busy.wav", loop=2)),
        ("<Play digits='ww12#'/>", Play(digits="ww12#")),
        (
            "<Say voice='alice' language='de-DE'>Hallo</Say>",
            Say("Hallo", "alice", "de-DE"),
        ),
        ("<Pause length='3'/>", Pause(3)),
        ("<Reject reason='busy'/>", Reject("busy")),
        (
            "<Dial action='/done' timeout='20'>+4930</Dial>",
            Dial((DialTarget("Number", "+4930"),), "/done", timeout_s=20),
        ),
        ("<Dial><Sip>sip:a@b</Sip></Dial>", Dial((DialTarget("Sip", "sip:a@b"),))),
        (
            """<Dial callerId='+1' timeLimit='60'>
            <Number url='/w' method='GET' statusCallback='/s'
            statusCallbackEvent='ringing answered'>+4930</Number></Dial>""",
            Dial(
                (
                    DialTarget(
                        *("Number", "+4930", "/w", "GET", "/s"),
                        events=("ringing", "answered"),
                    ),
                ),
                caller_id="+1",
                time_limit_s=60,
            ),
        ),
        ("<Enqueue action='/q'>support</Enqueue>", Enqueue("support", "/q")),
        (
            "<Refer action='/r'><Sip>sip:a@b.example</Sip></Refer>",
            Refer("sip:a@b.example", "/r"),
        ),
    ],
)
def test_other_verbs_are_read(inner: str, verb: Verb) -> None:
    assert parse_twiml(response(inner)) == (verb,)


def test_an_empty_response_has_no_verbs() -> None:
    assert parse_twiml(b"<Response/>") == ()


@pytest.mark.parametrize(
    ("document", "twilio_code"),
    [
        (b"", 12100),
        (b"<Response><Hangup></Response>", 12100),
        (b"<response/>", 12100),
        (b"<!DOCTYPE Response><Response/>", 12100),
        (b'<!DOCTYPE R [<!ENTITY a "b">]><Response><Say>&a;</Say></Response>', 12100),
        (b"<Response><!--" + b"x" * MAX_TWIML_BYTES + b"--></Response>", 11750),
        (response("<hangup/>"), 12200),
        (response("<Gather/>"), 12200),
        (response("hello"), 12200),
        (response("<Hangup/>hello"), 12200),
        (response("<Hangup now='1'/>"), 12200),
        (response("<Hangup><Say>a</Say></Hangup>"), 12200),
        (response("<Say/>"), 12200),
        (response("<Dial/>"), 12200),
        (response("<Dial timeout='4'>+4930</Dial>"), 13212),
        (response("<Dial timeLimit='0'>+4930</Dial>"), 13216),
        (response("<Dial><Sip>alice</Sip></Dial>"), 12200),
        (response("<Dial><Number></Number></Dial>"), 12200),
        (response(f"<Dial>{'<Number>+4930</Number>' * 11}</Dial>"), 12200),
        (response("<Dial><Number whisper='/w'>+4930</Number></Dial>"), 12200),
        (
            response("<Dial><Number statusCallbackEvent='busy'>+4930</Number></Dial>"),
            12200,
        ),
        (response("<Dial><Client>alice</Client></Dial>"), 12200),
        (response(f"<Enqueue>{'q' * 65}</Enqueue>"), 12200),
        (response("<Enqueue waitUrl='/w'>q</Enqueue>"), 12200),
        (response("<Refer/>"), 12200),
        (response("<Refer>sip:a@b</Refer>"), 12200),
        (response("<Refer><Sip>a@b</Sip></Refer>"), 12200),
        (response("<Refer><Sip url='/w'>sip:a@b</Sip></Refer>"), 12200),
        (response("<Refer><Number>+4930</Number></Refer>"), 12200),
        (response("<Play digits='a'/>"), 12200),
        (response("<Pause length='-1'/>"), 12200),
        (response("<Reject reason='tired'/>"), 12200),
        (response("<Redirect method='PUT'>/a</Redirect>"), 12200),
        (response(f"<Stream url='{URL}'/>"), 12200),
        (connect(""), 12200),
        (connect(f"<Stream url='{URL}'/><Stream url='{URL}'/>"), 12200),
        (connect(f"<Stream url='{URL}' track='both_tracks'/>"), 12200),
        (connect(f"<Stream url='{URL}' statusCallback='/cb'/>"), 12200),
        (connect(f"<Stream url='{URL}'><Parameter name='a'/></Stream>"), 12200),
    ],
)
def test_what_twilio_does_not_know_is_refused(
    document: bytes, twilio_code: int
) -> None:
    with pytest.raises(TwimlError) as caught:
        parse_twiml(document)
    assert caught.value.twilio_code == twilio_code


@pytest.mark.parametrize(
    ("url", "twilio_code"),
    [
        ("https://edge.example.com/a", 31922),
        ("ws://edge.example.com/a", 31922),
        ("ws://10.0.0.1/a", 31922),
        ("/twilio/media", 31922),
        ("", 31922),
        (f"{URL}?token=1", 31923),
        (f"{URL}?", 31923),
        (f"{URL}#a", 31923),
        ("wss:///a", 31923),
        ("wss://host:port/a", 31923),
        ("wss://user@host/a", 31923),
        ("wss://host/a b", 31923),
        ("wss://host/ü", 31923),
    ],
)
def test_a_stream_url_is_wss_with_host_and_path_only(
    url: str, twilio_code: int
) -> None:
    with pytest.raises(TwimlError) as caught:
        parse_twiml(connect(f"<Stream url='{url}'/>"))
    assert caught.value.twilio_code == twilio_code


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_plain_ws_is_allowed_on_this_machine(host: str) -> None:
    (verb,) = parse_twiml(connect(f"<Stream url='ws://{host}:8080/a'/>"))
    assert isinstance(verb, Connect)
    assert verb.stream.url == f"ws://{host}:8080/a"


@pytest.mark.parametrize(("value_chars", "accepted"), [(495, True), (496, False)])
def test_a_parameter_stays_under_500_characters(
    value_chars: int, accepted: bool
) -> None:
    value = "v" * value_chars
    document = connect(
        f"<Stream url='{URL}'><Parameter name='name' value='{value}'/></Stream>"
    )
    if accepted:
        assert len(parse_twiml(document)) == 1
    else:
        with pytest.raises(TwimlError, match="12200"):
            parse_twiml(document)
