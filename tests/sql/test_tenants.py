"""The laws of tenants: another one's session is as if absent, whatever is done with its id."""

import pytest
from sqlalchemy import text

from sessionstore import Event, Message, SessionInfo, SQLSessionStore
from sessionstore.errors import InvalidValue, SessionExists
from sessionstore.testing.build import ids, user

from .calls import FORKING, MAKING, READS, WRITES, Target, filled_session, outcome
from .invariants import broken


async def everything(store: SQLSessionStore, session_id: str) -> str:
    """Return all there is of a session, as its owner sees it."""
    return repr(await store.export_session(session_id))


@pytest.mark.parametrize("tenant", ["rival", "", "acm", "ACME"])
async def test_anothers_session_is_as_if_absent(store: SQLSessionStore, tenant: str) -> None:
    """Each method does with another tenant's session exactly what it does with an absent one, and changes nothing."""
    owner, other = store.for_tenant("acme"), store.for_tenant(tenant)
    target, absent = await filled_session(owner, "theirs"), Target("absent")
    before = await everything(owner, "theirs")
    for name, call in {**READS, **FORKING, **WRITES}.items():
        found = await outcome(call(other, target), target)
        assert found == await outcome(call(other, absent), absent), name
        assert await everything(owner, "theirs") == before, name
    assert await broken(store.engine) == []


async def test_anothers_session_is_as_if_absent_when_bound(store: SQLSessionStore) -> None:
    """The same inside the caller's transaction, which goes on through all of it."""
    owner, other = store.for_tenant("acme"), store.for_tenant("rival")
    target, absent = await filled_session(owner, "theirs"), Target("absent")
    before = await everything(owner, "theirs")
    async with store.engine.begin() as connection:
        bound = other.bind(connection)
        for name, call in {**READS, **FORKING, **WRITES}.items():
            found = await outcome(call(bound, target), target)
            assert found == await outcome(call(bound, absent), absent), name
    assert await everything(owner, "theirs") == before
    assert await broken(store.engine) == []


@pytest.mark.parametrize("name", MAKING)
async def test_a_taken_id_is_the_one_thing_that_tells(store: SQLSessionStore, name: str) -> None:
    """Making a session with another tenant's id raises SessionExists, and changes nothing of either."""
    owner, other = store.for_tenant("acme"), store.for_tenant("rival")
    target = await filled_session(owner, "theirs")
    before = await everything(owner, "theirs")
    with pytest.raises(SessionExists) as raised:
        await MAKING[name](other, target)
    assert "acme" not in str(raised.value)
    assert "perhaps by another tenant: ids are unique in a schema" in str(raised.value)
    assert await everything(owner, "theirs") == before
    assert await other.list_sessions() == []
    assert await broken(store.engine) == []


async def test_lists_hold_ones_own(store: SQLSessionStore) -> None:
    """Lists, pages and children are a tenant's own, also behind another's session and below its id."""
    acme, rival = store.for_tenant("acme"), store.for_tenant("rival")
    await acme.create_session(SessionInfo(id="a", user_id="u"))
    await rival.create_session(SessionInfo(id="r", user_id="u"))
    behind = await acme.get_session("a")
    await rival.create_session(SessionInfo(id="child", parent_session_id="a", user_id="u"))
    assert ids(await acme.list_sessions()) == ["a"]
    assert ids(await acme.list_sessions(user_id="u")) == ["a"]
    assert ids(await acme.list_sessions(parent_session_id="a")) == []
    assert ids(await rival.list_sessions(parent_session_id="a")) == ["child"]
    assert ids(await acme.list_sessions(after=behind)) == []
    assert ids(await store.list_sessions()) == []


async def test_recover_takes_ones_own(store: SQLSessionStore) -> None:
    """recover interrupts the drafts of its own tenant and no others."""
    acme, rival = store.for_tenant("acme"), store.for_tenant("rival")
    for tenant, session_id in ((acme, "a"), (rival, "r")):
        await tenant.create_session(SessionInfo(id=session_id))
        await tenant.save_message(Message(id="d", session_id=session_id, role="assistant", status="in_progress"))
    long_ago = "to_timestamp(0)" if store.engine.dialect.name == "postgresql" else "0"
    async with store.engine.begin() as connection:
        await connection.execute(text(f"UPDATE sessionstore_messages SET updated_at = {long_ago}"))
    assert [(message.session_id, message.status) for message in await acme.recover()] == [("a", "interrupted")]
    theirs = await rival.get_message("r", "d")
    assert theirs is not None
    assert theirs.status == "in_progress"


async def test_message_ids_are_each_sessions_own(store: SQLSessionStore) -> None:
    """Two tenants may hold messages with one id, and neither is a conflict or a repeat of the other."""
    acme, rival = store.for_tenant("acme"), store.for_tenant("rival")
    for tenant, session_id in ((acme, "a"), (rival, "r")):
        await tenant.create_session(SessionInfo(id=session_id))
        await tenant.save_message(user(session_id, session_id, id="same"))
    assert [m.get_text_content() for m in await acme.get_messages("a")] == ["a"]
    assert [m.get_text_content() for m in await rival.get_messages("r")] == ["r"]


async def test_tenants_share_the_engine(store: SQLSessionStore) -> None:
    """for_tenant gives the same engine, which closing it leaves open."""
    acme = store.for_tenant("acme")
    assert acme.engine is store.engine
    assert type(acme) is type(store)
    async with acme:
        await acme.create_session(SessionInfo(id="a"))
    async with store.engine.connect() as connection:
        pooled = store.engine.sync_engine.pool
        assert await connection.scalar(text("SELECT 1")) == 1
    await acme.close()
    assert store.engine.sync_engine.pool is pooled
    assert await store.for_tenant("acme").get_session("a") is not None


async def test_tenants_hear_of_their_own(store: SQLSessionStore) -> None:
    """Subscriptions are shared by the stores of one tenant, and no tenant hears of another's sessions."""
    heard: dict[str, list[Event]] = {"": [], "acme": [], "rival": []}
    for tenant, events in heard.items():
        store.for_tenant(tenant).events.subscribe(events.append)
    await store.for_tenant("acme").create_session(SessionInfo(id="a"))
    async with store.engine.begin() as connection:
        bound = store.for_tenant("acme").bind(connection)
        await bound.save_message(user("a"))
    await bound.publish_events()
    assert [event.type for event in heard["acme"]] == ["session.created", "message.saved"]
    assert (heard[""], heard["rival"]) == ([], [])


@pytest.mark.parametrize("tenant", ["a\0b", "\ud800", "x" * 256, 5, None, b"acme"])
async def test_a_bad_tenant_is_refused(store: SQLSessionStore, tenant: str) -> None:
    """What isn't clean text of at most 255 characters is no tenant."""
    with pytest.raises(InvalidValue, match="tenant_id"):
        store.for_tenant(tenant)


@pytest.mark.parametrize("tenant", ["' OR 1=1 --", '"; DROP TABLE sessionstore_sessions', "🦀", "%", "_", "*"])
async def test_a_tenants_name_is_a_value(store: SQLSessionStore, tenant: str) -> None:
    """Quotes, SQL, wildcards and emoji in a tenant's name are values like others."""
    named = store.for_tenant(tenant)
    await store.create_session(SessionInfo(id="s"))
    await named.create_session(SessionInfo(id="n"))
    assert ids(await named.list_sessions()) == ["n"]
    assert await named.get_session("s") is None
