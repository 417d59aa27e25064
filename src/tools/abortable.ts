import { setMaxListeners } from 'node:events';

/** Ends after `ms` or when `signal` aborts, whichever is first; a function put into `wakers` ends it earlier. */
export function sleep(ms: number, signal: AbortSignal, wakers?: Set<() => void>): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      wakers?.delete(wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    onAbort(signal, wake);
    wakers?.add(wake);
  });
}

/** The value of `work`, or undefined as soon as `signal` aborts; what `work` comes to after that is dropped. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const abandon = () => resolve(undefined);
    if (signal.aborted) abandon();
    else onAbort(signal, abandon);
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abandon));
  });
}

function onAbort(signal: AbortSignal, listener: () => void): void {
  // One signal stops many loops at once. Each removes its listener, so Node's warning of a leak would be a false one.
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
}
