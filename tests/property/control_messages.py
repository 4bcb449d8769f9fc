"""Any control message, for Hypothesis."""

from hypothesis import strategies as st

from backhaul.core.checkpoint import (
    Called,
    CallerSaid,
    Item,
    ModelSaid,
    Noted,
    Saying,
    VoiceProgress,
)
from backhaul.core.frames import SEQUENCE_MODULUS
from backhaul.core.messages import (
    Arrived,
    ChannelUnknown,
    Checkpoint,
    Clear,
    Cleared,
    Close,
    CloseReason,
    Digit,
    Find,
    Flow,
    Found,
    Greeting,
    Handover,
    HandoverReason,
    Heartbeat,
    HeartbeatReply,
    Hello,
    Kept,
    KeptCall,
    LeaseGranted,
    LeaseRefused,
    LeaseRelease,
    LeaseRequest,
    Member,
    Members,
    Message,
    Moved,
    Open,
    Opened,
    Played,
    ProfileStock,
    Receipt,
    Returned,
    Script,
    SendDigits,
    Silent,
    Stock,
    Transfer,
    TransferKind,
)

counts = st.integers(0, 2**63 - 1)
reasons = st.sampled_from(CloseReason)
epochs = st.integers(1, 1 << 32)
numbers = st.integers(0, SEQUENCE_MODULUS - 1)
spans = st.floats(0, 3600)
words = st.text(max_size=20)

arrived = st.builds(Arrived, counts, counts, counts)
members = st.builds(
    Member,
    words,
    words,
    st.dictionaries(words, counts, max_size=3),
    counts,
    st.booleans(),
)
items: st.SearchStrategy[Item] = st.one_of(
    st.builds(CallerSaid, words),
    st.builds(ModelSaid, words, st.booleans()),
    st.builds(Saying, words, counts, counts, st.booleans()),
    st.builds(Called, words, words, words, st.none() | words, words),
    st.builds(Noted, words),
)
checkpoints = st.builds(
    Checkpoint, counts, st.lists(items, max_size=4).map(tuple), counts, spans, words
)
kept_calls = st.none() | st.builds(
    KeptCall, epochs, words, st.booleans(), st.none() | checkpoints, counts, counts
)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Hello, counts, words, words, words, st.lists(words, max_size=3).map(tuple)
    ),
    st.builds(
        Heartbeat,
        counts,
        st.none()
        | st.builds(Receipt, st.floats(0, 1), st.floats(0, 60), st.floats(0, 60)),
        st.lists(arrived, max_size=3).map(tuple),
    ),
    st.builds(Members, st.lists(members, max_size=3).map(tuple)),
    st.builds(Moved, arrived),
    st.builds(ChannelUnknown, counts),
    st.builds(HeartbeatReply, counts, counts),
    st.builds(LeaseRequest, words, words, words, epochs, st.booleans(), st.booleans()),
    st.builds(LeaseGranted, words, st.booleans(), kept_calls),
    st.builds(Find, words),
    st.builds(Found, words, kept_calls),
    st.builds(LeaseRefused, words, reasons),
    st.builds(LeaseRelease, words),
    st.builds(Greeting, words, words, st.binary(max_size=400)),
    st.builds(Script, words, words, st.binary(max_size=400)),
    st.builds(
        Stock,
        st.dictionaries(
            words, st.builds(ProfileStock, counts, spans, spans), max_size=4
        ),
        counts,
        counts,
        counts,
        st.booleans(),
    ),
    st.builds(
        Open,
        words,
        words,
        words,
        epochs,
        words,
        words,
        st.integers(0, 1 << 20),
        st.booleans(),
        words,
        st.booleans(),
        st.none() | checkpoints,
        counts,
        st.builds(VoiceProgress, counts, counts, counts, counts),
    ),
    checkpoints,
    st.builds(Opened, words),
    st.builds(Clear),
    st.builds(Cleared, counts, counts),
    st.builds(Played, counts),
    st.builds(Kept, counts),
    st.builds(Digit, words),
    st.builds(Flow, st.booleans()),
    st.builds(Transfer, st.sampled_from(TransferKind), words, words, counts),
    st.builds(SendDigits, words),
    st.builds(Handover, st.sampled_from(HandoverReason)),
    st.builds(Silent, counts),
    st.builds(Returned, words),
    st.builds(Close, reasons, numbers),
)
