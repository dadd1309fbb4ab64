/**
 * What a page keeps in this browser, never a token. The promises of `put` and `del` are resolved when it is on the disk. What
 * is one student's has a key `<kind>/<student id>`. Without IndexedDB memory holds it until the page is closed.
 */

const DATABASE = "canteen";
const TABLE = "kept";
const memory = new Map();
let opened = null;

/** The value kept under `key`, or undefined. */
export function get(key) {
  return run("readonly", (table) => table.get(key), () => memory.get(key));
}

export function put(key, value) {
  return run("readwrite", (table) => table.put(value, key), () => void memory.set(key, structuredClone(value)));
}

export function del(key) {
  return run("readwrite", (table) => table.delete(key), () => void memory.delete(key));
}

/** Remove all that is one student's. */
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

/** Null where there is none, or where the browser forbids it. */
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

/** A browser may close it; the next use opens it again. */
function watched(database) {
  const reopen = () => (opened = null);
  database.onclose = reopen;
  database.onversionchange = () => {
    database.close();
    reopen();
  };
  return database;
}
