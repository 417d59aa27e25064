import fc from 'fast-check';

/** The same cases at each run. Another seed looks for others: PROPERTY_SEED=42 npm test. */
fc.configureGlobal({ seed: Number(process.env.PROPERTY_SEED ?? 20_260_101) });

export { fc };
