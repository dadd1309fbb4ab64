/** What a browser keeps. */

import { del, forget, get, put } from "/js/store.js";
import { check, equal } from "/units/check.js";

check("a value comes back as it was, and is no longer tied to what was given", async () => {
  const value = { lines: [{ quantity: 2 }], at: new Date(0) };
  await put("unit", value);
  value.lines[0].quantity = 3;
  equal(await get("unit"), { lines: [{ quantity: 2 }], at: new Date(0) });
});

check("what is not there is undefined, and removing it is fine", async () => {
  await del("unit");
  await del("unit");
  equal(await get("unit"), undefined);
});

check("a value of another copy of the module is seen: it was on the disk", async () => {
  await put("unit", "here");
  const other = await import("/js/store.js?copy=1");
  equal(await other.get("unit"), "here");
});

check("what belongs to one student is forgotten, and nothing of another's", async () => {
  const kept = ["order/1", "basket/1", "order/11", "order/1/x", "settings"];
  await Promise.all(kept.map((key) => put(key, key)));
  await forget("1");
  equal(await Promise.all(kept.map(get)), [undefined, undefined, "order/11", "order/1/x", "settings"]);
});

check("without IndexedDB memory keeps it", async () => {
  Object.defineProperty(globalThis, "indexedDB", { value: undefined, configurable: true });
  const store = await import("/js/store.js?copy=2");
  delete globalThis.indexedDB;
  const value = { quantity: 2 };
  await store.put("order/1", value);
  await store.put("unit", 1);
  value.quantity = 3;
  equal([await store.get("order/1"), await store.get("unit")], [{ quantity: 2 }, 1]);
  await store.forget("1");
  await store.del("unit");
  equal([await store.get("order/1"), await store.get("unit")], [undefined, undefined]);
});
