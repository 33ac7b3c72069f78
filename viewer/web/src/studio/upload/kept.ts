// The files of unfinished uploads, kept by the browser, so that a reload goes on by itself. What is too big to keep, or
// where there is no such store, is asked for again.

const DATABASE = "diorama-studio";
const STORE = "files";
const MOST_BYTES = 2e9;

function open(): Promise<IDBDatabase> {
  return new Promise((done, fail) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

async function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await open();
  try {
    return await new Promise((done, fail) => {
      const transaction = database.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => done(request.result);
      transaction.onerror = transaction.onabort = () => fail(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** Keeps the files of a batch; returns false when they are too big or there is no room. */
export async function keep(batch: string, files: readonly File[]): Promise<boolean> {
  if (files.reduce((sum, f) => sum + f.size, 0) > MOST_BYTES) return false;
  try {
    await run("readwrite", (store) => store.put([...files], batch));
    return true;
  } catch {
    return false;
  }
}

export async function kept(batch: string): Promise<File[] | null> {
  try {
    const files = await run<unknown>("readonly", (store) => store.get(batch));
    return Array.isArray(files) ? (files as File[]) : null;
  } catch {
    return null;
  }
}

export async function forget(batch: string): Promise<void> {
  await run("readwrite", (store) => store.delete(batch)).catch(() => undefined);
}
