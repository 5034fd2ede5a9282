"""The handshake: who is let in, and that nothing but a fresh proof by the right keys, for this connection, will do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qorum.core.messages import Join, Kind, Leave, Rekey
from qorum.core.roster import Roster
from qorum.identity import Identity, verify
from qorum.node.hello import STRANGERS, TAG, Claim, Handshake, Hello, Nonces, Party, Proof
from qorum.node.refused import Reason, Refused
from qorum.node.transport import UNSEEN
from tests.node.crooks import Forger
from tests.node.network import IDENTITIES, STRANGER, genesis_of, party_of

ROSTER = genesis_of().roster
CERTIFICATE = b"c" * 32


def pair(
    dialler: Sequence[Identity | Forger] = IDENTITIES[:2],
    listener: Sequence[Identity] = IDENTITIES[2:4],
    *,
    dialler_roster: Roster = ROSTER,
    dialler_sees: bytes = CERTIFICATE,
) -> tuple[Handshake, Handshake]:
    ours = Handshake(party_of(dialler_roster, dialler), dialler_sees, dials=True)  # type: ignore[arg-type]
    return ours, Handshake(party_of(ROSTER, listener), CERTIFICATE, dials=False)


def hear(handshake: Handshake, message: bytes) -> bytes | None:
    """What `handshake` answers; keys that are files make it wait for nothing."""
    with pytest.raises(StopIteration) as answered:
        handshake.receive(message).send(None)
    return answered.value.value  # type: ignore[no-any-return]


def shake(
    dialler: Handshake, listener: Handshake, change: Callable[[int, bytes], bytes] = lambda number, message: message
) -> list[bytes]:
    """Carry messages to and fro until nobody has one, maybe changed on their way; all of them."""
    messages, ends = [], [listener, dialler]
    message = dialler.start()
    while message is not None:
        messages.append(message)
        message = hear(ends[0], change(len(messages) - 1, message))
        ends.reverse()
    return messages


def refusal(dialler: Handshake, listener: Handshake) -> Reason:
    with pytest.raises(Refused) as refused:
        shake(dialler, listener)
    assert dialler.peer is None or listener.peer is None
    return refused.value.reason


def test_both_learn_whom_the_other_hosts_and_what_it_takes() -> None:
    dialler, listener = pair()
    shake(dialler, listener)
    assert listener.peer is not None
    assert dialler.peer is not None
    assert listener.peer.keys == tuple(identity.public_key for identity in IDENTITIES[:2])
    assert dialler.peer.keys == tuple(identity.public_key for identity in IDENTITIES[2:4])
    assert (dialler.peer.hello.bytes_per_second, dialler.peer.hello.messages_per_second) == (10**6, 10**3)


def test_whoever_holds_no_seat_may_say_so() -> None:
    dialler, listener = pair([STRANGER])
    shake(dialler, listener)
    assert listener.peer is not None
    assert not listener.peer.seated


def test_a_crowd_that_anybody_can_make_up_is_refused_before_any_signature_is_checked() -> None:
    crowd = [Identity.from_seed(number.to_bytes(32, "big")) for number in range(100, 101 + STRANGERS)]
    dialler, listener = pair(crowd[1:])
    shake(dialler, listener)
    forged = [Forger(identity, STRANGER) for identity in crowd]
    assert refusal(*pair(forged)) is Reason.OVERSIZED


def test_one_that_is_ahead_of_the_other_may_claim_no_seats() -> None:
    ahead = ROSTER.after(Rekey(0, 1, STRANGER.public_key), 7)
    assert refusal(*pair([STRANGER], dialler_roster=ahead)) is Reason.WRONG_KEY
    modest = Handshake(party_of(ahead, [STRANGER]), CERTIFICATE, dials=True, as_guest=True)
    _, listener = pair()
    shake(modest, listener)
    assert listener.peer is not None


def test_one_that_is_dialled_and_is_ahead_is_a_guest() -> None:
    ahead = ROSTER.after(Join(STRANGER.public_key), 7).after(Rekey(3, 1, IDENTITIES[5].public_key), 8)
    dialler, _ = pair()
    listener = Handshake(party_of(ahead, [STRANGER, IDENTITIES[5]]), CERTIFICATE, dials=False)
    shake(dialler, listener)
    assert dialler.peer is not None
    assert [ROSTER.seat_of(key) for key in dialler.peer.keys] == [None, None]


def test_the_listener_signs_nothing_for_strangers() -> None:
    _, listener = pair()
    dialler = Handshake(party_of(ROSTER, IDENTITIES[:1]), CERTIFICATE, dials=True)
    answer = hear(listener, dialler.start() or b"")
    assert msgspec.msgpack.decode(answer or b"")[0] == "qorum hello"


@pytest.mark.parametrize(
    ("roster", "identities", "reason"),
    [
        (ROSTER.after(Join(STRANGER.public_key), 7), [STRANGER], Reason.UNKNOWN_MEMBER),
        (ROSTER.after(Rekey(0, 1, STRANGER.public_key), 7), [STRANGER], Reason.WRONG_KEY),
        (genesis_of(gamma=0.5).roster, IDENTITIES[:1], Reason.WRONG_FEDERATION),
        (ROSTER, [Forger(IDENTITIES[0], STRANGER)], Reason.WRONG_KEY),
        (ROSTER, [IDENTITIES[1], Forger(IDENTITIES[0], STRANGER)], Reason.WRONG_KEY),
        (ROSTER, [Forger(STRANGER, IDENTITIES[0])], Reason.WRONG_KEY),
        (ROSTER, [IDENTITIES[2]], Reason.TWIN),
        (ROSTER, [IDENTITIES[0], IDENTITIES[0]], Reason.MALFORMED),
        (ROSTER, [], Reason.MALFORMED),
    ],
    ids=[
        "no such seat",
        "another's seat",
        "federation",
        "forged",
        "forged second",
        "forged guest",
        "twin",
        "twice",
        "nobody",
    ],
)
def test_who_is_not_let_in(roster: Roster, identities: list[Identity], reason: Reason) -> None:
    assert refusal(*pair(identities, dialler_roster=roster)) is reason


def test_a_member_that_left_is_unknown() -> None:
    dialler = Handshake(party_of(ROSTER, IDENTITIES[:1]), CERTIFICATE, dials=True)
    listener = Handshake(party_of(ROSTER.after(Leave(0, 0), 7), IDENTITIES[2:4]), CERTIFICATE, dials=False)
    assert refusal(dialler, listener) is Reason.UNKNOWN_MEMBER


def test_another_certificate_means_that_somebody_is_in_between() -> None:
    assert refusal(*pair(dialler_sees=b"x" * 32)) is Reason.WRONG_CERTIFICATE


def test_a_greeting_that_is_changed_on_the_way_makes_the_proof_worthless() -> None:
    """Whoever is in between may make both greetings fit; the signatures then do not."""
    dialler, listener = pair(dialler_sees=b"x" * 32)
    hello = msgspec.msgpack.decode(dialler.start() or b"", type=Hello)
    fitting = msgspec.structs.replace(hello, certificate=CERTIFICATE)
    answer = msgspec.msgpack.decode(hear(listener, msgspec.msgpack.encode(fitting)) or b"", type=Hello)
    proof = hear(dialler, msgspec.msgpack.encode(msgspec.structs.replace(answer, certificate=b"x" * 32)))
    with pytest.raises(Refused) as refused:
        hear(listener, proof or b"")
    assert refused.value.reason is Reason.WRONG_KEY


def test_who_cannot_see_the_certificate_says_so() -> None:
    dialler, listener = pair(dialler_sees=UNSEEN)
    shake(dialler, listener)
    assert dialler.peer is not None
    assert listener.peer is not None


def test_nobody_in_between_makes_a_node_look_like_one_that_cannot_see() -> None:
    dialler, listener = pair(dialler_sees=b"x" * 32)
    hello = msgspec.msgpack.decode(dialler.start() or b"", type=Hello)
    answer = hear(listener, msgspec.msgpack.encode(msgspec.structs.replace(hello, certificate=UNSEEN)))
    with pytest.raises(Refused) as refused:
        hear(dialler, answer or b"")
    assert refused.value.reason is Reason.WRONG_CERTIFICATE
    fitting = msgspec.structs.replace(msgspec.msgpack.decode(answer or b"", type=Hello), certificate=b"x" * 32)
    dialler, _ = pair(dialler_sees=b"x" * 32)
    proof = hear(dialler, msgspec.msgpack.encode(fitting))
    with pytest.raises(Refused) as refused:
        hear(listener, proof or b"")
    assert refused.value.reason is Reason.WRONG_KEY


def test_whoever_listens_cannot_say_that_it_is_not_seen() -> None:
    dialler, listener = pair()
    answer = msgspec.msgpack.decode(hear(listener, dialler.start() or b"") or b"", type=Hello)
    with pytest.raises(Refused) as refused:
        hear(dialler, msgspec.msgpack.encode(msgspec.structs.replace(answer, certificate=UNSEEN)))
    assert refused.value.reason is Reason.WRONG_CERTIFICATE


def test_keys_that_take_a_wait_are_waited_for() -> None:
    class Slow:
        public_key = IDENTITIES[0].public_key

        async def sign(self, message: bytes) -> bytes:
            await asyncio.sleep(0)
            return IDENTITIES[0].sign(message)

    async def check(key: bytes, message: bytes, signature: bytes) -> bool:
        await asyncio.sleep(0)
        return verify(key, message, signature)

    async def scene() -> None:
        party = party_of(ROSTER, [Slow()])._replace(verify=check)
        dialler, listener = Handshake(party, CERTIFICATE, dials=True), pair()[1]
        answer = await listener.receive(dialler.start() or b"")
        proof = await dialler.receive(answer or b"")
        await dialler.receive(await listener.receive(proof or b"") or b"")
        assert dialler.peer is not None

    asyncio.run(scene())


@pytest.mark.parametrize("field", ["bytes_per_second", "messages_per_second", "nonce"])
def test_every_word_of_a_greeting_is_signed(field: str) -> None:
    dialler, listener = pair()
    hello = msgspec.msgpack.decode(dialler.start() or b"", type=Hello)
    other = b"n" * 32 if field == "nonce" else 1
    answer = hear(listener, msgspec.msgpack.encode(msgspec.structs.replace(hello, **{field: other})))
    with pytest.raises(Refused) as refused:
        hear(listener, hear(dialler, answer or b"") or b"")
    assert refused.value.reason is Reason.WRONG_KEY


def test_a_recorded_handshake_is_recognised() -> None:
    dialler, _ = pair()
    nonces = Nonces()
    party = party_of(ROSTER, IDENTITIES[2:4], nonces)
    said = shake(dialler, Handshake(party, CERTIFICATE, dials=False))
    again = Handshake(party, CERTIFICATE, dials=False)
    with pytest.raises(Refused) as refused:
        hear(again, said[0])
    assert refused.value.reason is Reason.REPLAYED


def test_a_recorded_handshake_is_worthless_even_where_it_is_forgotten() -> None:
    dialler, listener = pair()
    said = shake(dialler, listener)
    _, restarted = pair()
    assert hear(restarted, said[0]) is not None
    with pytest.raises(Refused) as refused:
        hear(restarted, said[2])
    assert refused.value.reason is Reason.WRONG_KEY


def test_a_proof_sent_back_to_whoever_made_it_is_worthless() -> None:
    """Both ends may host the same member under attack: its own proof must not do for the other role."""
    mirror = Handshake(party_of(ROSTER, IDENTITIES[:1]), CERTIFICATE, dials=True)
    listener = Handshake(party_of(ROSTER, IDENTITIES[2:3]), CERTIFICATE, dials=False)
    proof = hear(mirror, hear(listener, mirror.start() or b"") or b"")
    with pytest.raises(Refused):
        hear(mirror, proof or b"")


def test_its_own_greeting_sent_back_is_a_replay() -> None:
    dialler, _ = pair()
    with pytest.raises(Refused) as refused:
        hear(dialler, dialler.start() or b"")
    assert refused.value.reason is Reason.REPLAYED


def test_another_version_is_told_even_if_it_has_more_to_say() -> None:
    _, listener = pair()
    hello = ["qorum hello", 2, ROSTER.federation, CERTIFICATE, b"n" * 32, 1, 1, "more"]
    with pytest.raises(Refused) as refused:
        hear(listener, msgspec.msgpack.encode(hello))
    assert refused.value.reason is Reason.VERSION


def test_nothing_comes_after_the_handshake() -> None:
    dialler, listener = pair()
    said = shake(dialler, listener)
    with pytest.raises(Refused):
        hear(dialler, said[-1])


def test_old_nonces_are_forgotten_in_the_end() -> None:
    nonces = Nonces()
    first = nonces.fresh()
    for _ in range(4096):
        nonces.fresh()
    nonces.see(first)


def test_what_is_signed_is_nothing_that_members_sign_elsewhere() -> None:
    assert TAG[0] not in set(Kind)


# --- whatever the bytes ---


def parties() -> tuple[Party, Party]:
    return party_of(ROSTER, IDENTITIES[:2]), party_of(ROSTER, IDENTITIES[2:4])


def expect_refused_or_answered(handshake: Handshake, message: bytes) -> None:
    before = handshake.peer
    try:
        hear(handshake, message)
    except Refused:
        assert handshake.peer is before


fields = st.recursive(
    st.none()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=70)
    | st.text(max_size=5)
    | st.just(ROSTER.federation),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)
tags = st.sampled_from(["qorum hello", "qorum proof", "x"])
messages = st.binary(max_size=600) | st.builds(
    lambda tag, rest: msgspec.msgpack.encode([tag, *rest]), tags, st.lists(fields, max_size=8)
).filter(bool)


@given(messages, messages, st.booleans())
def test_no_bytes_make_it_raise_anything_but_refused(first: bytes, second: bytes, dials: bool) -> None:
    one, other = parties()
    handshake = Handshake(one, CERTIFICATE, dials=dials)
    handshake.start()
    expect_refused_or_answered(handshake, first)
    expect_refused_or_answered(handshake, second)
    genuine = Handshake(other, CERTIFICATE, dials=not dials)
    genuine.start()
    assert handshake.peer is None


claims = st.lists(
    st.builds(
        Claim,
        st.none() | st.integers(0, 4095),
        st.sampled_from([identity.public_key for identity in [*IDENTITIES, STRANGER]])
        | st.binary(min_size=32, max_size=32),
        st.binary(min_size=64, max_size=64),
    ),
    max_size=6,
)


@given(claims)
def test_no_made_up_proof_is_taken(claims: list[Claim]) -> None:
    one, other = parties()
    listener, dialler = Handshake(other, CERTIFICATE, dials=False), Handshake(one, CERTIFICATE, dials=True)
    hear(listener, dialler.start() or b"")
    with pytest.raises(Refused):
        hear(listener, msgspec.msgpack.encode(Proof(tuple(claims))))
    assert listener.peer is None


@given(st.integers(0, 3), st.data())
def test_no_single_flipped_bit_gets_through(which: int, data: st.DataObject) -> None:
    def flip(number: int, message: bytes) -> bytes:
        if number != which:
            return message
        bit = data.draw(st.integers(0, 8 * len(message) - 1))
        return (int.from_bytes(message, "little") ^ 1 << bit).to_bytes(len(message), "little")

    with pytest.raises(Refused):
        shake(*pair(), flip)


def test_text_that_is_none_is_malformed() -> None:
    dialler, listener = pair()
    hello = bytearray(dialler.start() or b"")
    hello[hello.index(b"qorum")] = 0xFF
    with pytest.raises(Refused) as refused:
        hear(listener, bytes(hello))
    assert refused.value.reason is Reason.MALFORMED
