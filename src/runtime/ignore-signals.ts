// A terminal's Ctrl-C reaches every process. One that imports this goes on until its parent tells it to stop, or ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
