/**
 * What a page keeps in this browser: baskets, unanswered orders, settings. Never a token.
 *
 * A promise of `put` or `del` is resolved when its transaction is on the disk, so that what must survive a crash can be
 * awaited. What belongs to one student is kept under `<kind>/<student id>`, and `forget` removes it. Where the browser has
 * no IndexedDB, memory holds it all until the page is closed.
 */

const DATABASE = "canteen";
const TABLE = "kept";
const memory = new Map();
let opened = null;

/** The value kept under `key`, or undefined. */
export function get(key) {
  return run("readonly", (table) => table.get(key), () => memory.get(key));
}

/** Keep `value` (anything that can be cloned) under `key`. */
export function put(key, value) {
  return run("readwrite", (table) => table.put(value, key), () => void memory.set(key, structuredClone(value)));
}

/** Remove `key`; one that is not kept is fine. */
export function del(key) {
  return run("readwrite", (table) => table.delete(key), () => void memory.delete(key));
}

/** Remove all that belongs to one student: each key `<kind>/<student id>`. */
export async function forget(studentId) {
  const keys = await run("readonly", (table) => table.getAllKeys(), () => [...memory.keys()]);
  await Promise.all(keys.filter((key) => String(key).endsWith(`/${studentId}`)).map(del));
}

async function run(mode, inTable, inMemory) {
  const database = await open();
  if (!database) return inMemory();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(TABLE, mode, { durability: "strict" });
    const request = inTable(transaction.objectStore(TABLE));
    transaction.oncomplete = () => resolve(mode === "readonly" ? request.result : undefined);
    transaction.onabort = () => reject(transaction.error);
  });
}

/** The open database, or null where there is none (an old browser, or one that forbids it). */
function open() {
  opened ??= new Promise((resolve) => {
    const request = globalThis.indexedDB?.open(DATABASE, 1);
    if (!request) return resolve(null);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    request.onsuccess = () => resolve(watched(request.result));
    request.onerror = () => resolve(null);
  }).catch(() => null);
  return opened;
}

/** A browser may close a database that it cleans up: the next use opens it again. */
function watched(database) {
  const reopen = () => (opened = null);
  database.onclose = reopen;
  database.onversionchange = () => {
    database.close();
    reopen();
  };
  return database;
}
