-- A build from run facts copies another generation's tables and judges its runs anew: `judging`, a phase that goes on from
-- where it was killed. `judged_up_to` is the last run, by id, whose judgement is in the tables.
alter table opstruth.generations drop constraint generations_phase_check;
alter table opstruth.generations
  add constraint generations_phase_check check (phase in ('folding', 'loading', 'indexing', 'judging', 'following')),
  add column judged_up_to text;
