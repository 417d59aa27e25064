import fc from 'fast-check';

/** How many times the cases of the gate are tried: `npm run test:properties` has the time for more. */
export const TIMES = Number(process.env.PROPERTY_TIMES ?? 1);

/** The same cases at each run of the gate. Another seed looks for others: PROPERTY_SEED=42 npm test. */
fc.configureGlobal({ seed: Number(process.env.PROPERTY_SEED ?? 20_260_101), numRuns: 100 * TIMES });
if (TIMES > 1) jest.setTimeout(30_000 * TIMES);

export { fc };
