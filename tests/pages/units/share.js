/** One stream for all tabs: who leads, what followers learn, and who leads next. The tabs are several shares of one page. */

import { shareStream } from "/js/share.js";
import { check, equal, ok, until } from "/units/check.js";

const LIVE = { state: "live", failures: 0, at: 1 };
let groups = 0;

/** Tabs of one owner, with streams that the test speaks for. */
function group(more = {}) {
  const owner = `unit-${(groups += 1)}`;
  const streams = [];
  const open = (options) => {
    const stream = { ...options, isClosed: false, close: () => (stream.isClosed = true) };
    streams.push(stream);
    return stream;
  };
  const tab = () => {
    const events = [];
    const links = [];
    const share = shareStream({ owner, open, onEvent: (event) => events.push(event), onState: (link) => links.push(link), ...more });
    return { events, links, close: share.close };
  };
  return { tab, streams, running: () => streams.filter((stream) => !stream.isClosed) };
}

const event = (id) => ({ id, type: "order.status", data: `{"id":"${id}"}` });

check("seven tabs open one stream, and each of them gets every event", async () => {
  const { tab, streams } = group();
  const tabs = Array.from({ length: 7 }, tab);
  await until(() => streams.length === 1);
  streams[0].onState(LIVE);
  streams[0].onEvent(event("1"));
  await until(() => tabs.every(({ events }) => events.length === 1));
  ok(tabs.every(({ links }) => links.at(-1).state === "live"));
  equal(streams.length, 1);
  for (const each of tabs) each.close();
  ok(streams[0].isClosed);
});

check("a tab that joins later is told what happened, and how the stream is", async () => {
  const { tab, streams } = group();
  const first = tab();
  await until(() => streams.length === 1);
  streams[0].onState(LIVE);
  streams[0].onEvent(event("1"));
  streams[0].onEvent(event("2"));
  const second = tab();
  await until(() => second.events.length === 2 && second.links.length > 0);
  equal(second.events.map(({ id }) => id), ["1", "2"]);
  equal(second.links.at(-1), LIVE);
  first.close();
  second.close();
});

check("when the leader closes, another one leads and resumes behind the last event", async () => {
  const { tab, streams, running } = group();
  const [first, second] = [tab(), tab()];
  await until(() => streams.length === 1);
  streams[0].onEvent(event("7"));
  await until(() => second.events.length === 1);
  first.close();
  await until(() => streams.length === 2);
  equal(streams[1].lastId, "7");
  equal(running().length, 1);
  streams[1].onEvent(event("8"));
  equal(second.events.map(({ id }) => id), ["7", "8"]);
  equal(first.events.length, 1);
  second.close();
});

check("a leader that says nothing loses the stream to a follower", async () => {
  const { tab, streams, running } = group({ beatMs: 60_000, silentMs: 150 });
  const [first, second] = [tab(), tab()];
  await until(() => streams.length === 2);
  await until(() => streams[0].isClosed && running().length === 1);
  first.close();
  second.close();
});

check("a leader that beats keeps the stream", async () => {
  const { tab, streams } = group({ beatMs: 20, silentMs: 300 });
  const tabs = [tab(), tab(), tab()];
  await until(() => streams.length === 1);
  streams[0].onState(LIVE);
  const beats = () => tabs[1].links.length + tabs[2].links.length;
  await until(() => beats() > 60, 5000);
  equal(streams.length, 1);
  for (const each of tabs) each.close();
});

check("what a stream says after its end reaches no tab", async () => {
  const { tab, streams } = group();
  const [first, second] = [tab(), tab()];
  await until(() => streams.length === 1);
  first.close();
  streams[0].onEvent(event("9"));
  await until(() => streams.length === 2);
  equal([first.events, second.events], [[], []]);
  second.close();
});

check("tabs of two people share nothing", async () => {
  const [mine, yours] = [group(), group()];
  const [first, second] = [mine.tab(), yours.tab()];
  await until(() => mine.streams.length === 1 && yours.streams.length === 1);
  mine.streams[0].onEvent(event("1"));
  equal([first.events.length, second.events.length], [1, 0]);
  first.close();
  second.close();
});

check("a tab that is put aside lets go, and joins again when it is taken back", async () => {
  const { tab, streams } = group();
  const only = tab();
  await until(() => streams.length === 1);
  dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }));
  ok(streams[0].isClosed);
  dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
  await until(() => streams.length === 2);
  only.close();
});

check("a closed share wants the lock no longer", async () => {
  const { tab, streams } = group();
  const [first, second] = [tab(), tab()];
  await until(() => streams.length === 1);
  second.close();
  first.close();
  const third = tab();
  await until(() => streams.length === 2);
  equal(second.events, []);
  third.close();
});
