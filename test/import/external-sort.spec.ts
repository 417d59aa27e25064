import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createDigestTable } from '../../src/tools/digest-table';
import { createExternalSort } from '../../src/import/external-sort';
import type { KeyedText } from '../../src/import/external-sort';

const leftovers = () => readdirSync(tmpdir()).filter((name) => name.startsWith('opstruth-import-'));

describe('sorting more than fits into memory', () => {
  const records = Array.from({ length: 10_000 }, (_, index) => ({
    key: (index * 7919) % 101,
    text: `row ${index}\tü,\r`,
  }));

  it.each([
    ['all in memory', 1_000_000_000],
    ['in a few files', 50_000],
    ['in many files', 5_000],
    // More files than are merged at once, so that merged ones are merged again.
    ['in files of a few rows', 40],
  ])('%s keeps the order of time, and that of the rows at equal times', async (_how, memoryChars) => {
    const before = leftovers().length;
    const sort = createExternalSort({ memoryChars });
    for (const { key, text } of records) await sort.add(key, text);
    const sorted: KeyedText[] = [];
    for await (const batch of sort.sorted()) sorted.push(...batch);
    await sort.dispose();
    expect(sorted).toEqual([...records].sort((a, b) => a.key - b.key));
    expect(leftovers()).toHaveLength(before);
  });

  it('leaves nothing behind when its reader stops half way', async () => {
    const before = leftovers().length;
    const sort = createExternalSort({ memoryChars: 20_000 });
    for (const { key, text } of records) await sort.add(key, text);
    expect(leftovers()).toHaveLength(before + 1);
    for await (const batch of sort.sorted()) {
      expect(batch[0]?.key).toBe(0);
      break;
    }
    await sort.dispose();
    await sort.dispose();
    expect(leftovers()).toHaveLength(before);
  });
});

describe('a digest table', () => {
  it('holds the newest pair of each of many keys', () => {
    const table = createDigestTable();
    expect(table.get('run-1')).toBeUndefined();
    for (let pass = 0; pass < 2; pass++)
      for (let index = 0; index < 20_000; index++) table.set(`run-${index}`, [index, pass]);
    for (let index = 0; index < 20_000; index++) expect(table.get(`run-${index}`)).toEqual([index, 1]);
    expect(table.get('run-20000')).toBeUndefined();
  });
});
